/**
 * For programs in Python whose output has to come in an order, or in pieces: `heard(fd)` returns when what they have written to the
 * pipe has been read (FIONREAD of ioctl_pipe: what is in it).
 */
export const heard = `
import fcntl, os, termios, time
def heard(fd):
    while fcntl.ioctl(fd, termios.FIONREAD, bytes(4)) != bytes(4):
        time.sleep(0.001)
`;
