import argparse

parser = argparse.ArgumentParser(prog="plain.py")
parser.add_argument("--limit", type=int)
parser.parse_args()
open("never", "w").close()
