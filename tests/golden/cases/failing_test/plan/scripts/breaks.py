import sys

print("reading 2 examples")
print("example 1 is fine")
if "--test" in sys.argv:
    sys.exit("example 2 has no answer")
open("never", "w").close()
