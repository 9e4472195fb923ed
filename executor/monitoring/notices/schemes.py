"""The URL schemes of apprise 2.2."""

from __future__ import annotations

_ALL = (
    "46elks amqp amqps apprise apprises aprs atalk azure bark barks betterstack bluesky brevo bsky bulksms bulkvs"
    " burstsms chanify clickatell clicksend cliq cm d7sms dapnet deltachat deltachats dingtalk discord dot"
    " eight00com elks emby embys enigma2 enigma2s evolution evolutions exotel fcm feishu firehydrant flock"
    " flowtriq flowtriqs fluxer fluxers form forms freemobile gchat github goalert goalerts gorush gorushs gotify"
    " gotifys groundmail groupme guilded gupshup hassio hassios http https httpsms humhub humhubs ifttt ilert"
    " incidentio infobip irc ircs jellyfin jellyfins jira join json jsons kakao kakaotalk kaleyra kavenegar klr"
    " kodi kodis kook kudosity kumulos lametric lametrics lark lauther lfg line mailersend mailgun mailto mailtos"
    " mastodon mastodons matrix matrixs misskey misskeys mmost mmosts mobilemessage mobilemsg msg91 msgbird ncloud"
    " nclouds nctalk nctalks nexmo nostr notica noticas notifiarr notifico notificos notifyre ntfy ntfys o365"
    " octopush onebot onebots onesignal opsgenie pagerduty pagertree parsep parseps pbul pinglet pinglets pingram"
    " pjet pjets plivo postmark pover prowl psafer psafers push pushdeer pushdeers pushed pushme pushplus pushward"
    " pushy qq reddit resend revolt ringc rocket rockets rsyslog ryver schan sendgrid sendpulse serwersms ses"
    " session sessions seven sfr signal signalgrid signals signl4 simplepush sinch slack smsc smseagle smseagles"
    " smsmanager smsmgr smstunnel smtp2go sns sogs sparkpost spike splunk spugpush spush squadcast stackfield"
    " strmlabs synology synologys syslog telesign telnyx tgram threema toot toots trigv trigvs tweet twilio twist"
    " twitter vapid viber victorops voipms vonage webex wechat wecom wecombot whapi whatsapp workflow workflows"
    " wpush wxpusher wxteams x xbmc xbmcs xmatters xml xmls youlmk zalo zcliq zohocliq zoom zulip"
)
SCHEMES = frozenset(_ALL.split())
