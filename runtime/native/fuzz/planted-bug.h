/* planted-bug.h: a parser that looks one byte too far, for the test that shows that the fuzzers find such a thing. */
#include <string.h>
#define memchr(text, byte, length) memchr(text, byte, (length) + 1)
