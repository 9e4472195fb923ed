# Claude Code reads this before each command of its shell (CLAUDE_ENV_FILE): what it signs in with is not for the agent.
[ -z "$DO_TASKS_WITHHELD" ] || eval "unset DO_TASKS_WITHHELD $DO_TASKS_WITHHELD"
