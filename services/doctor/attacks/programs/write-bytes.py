# Writes bytes, hex in its arguments, to a stream, over and over until there are so many.
import os, sys

stream, times = {"stdout": 1, "stderr": 2}[sys.argv[1]], int(sys.argv[2])
unit = bytes.fromhex(sys.argv[3])
many = unit * max(1, 65536 // len(unit))
left = times * len(unit)
while left > 0:
    left -= os.write(stream, many[:left])
