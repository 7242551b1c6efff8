# Opens and reads what the kernel knows of the machine and of others: how many bytes came, or the errno's name.
import errno, json, os, sys


def read(path):
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            return len(os.listdir(path))
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            content = os.read(fd, 4096)
        finally:
            os.close(fd)
        # Addresses are shown as zeros to those who may not know them.
        if path.endswith(("iomem", "ioports", "kallsyms", "modules")):
            content = content.translate(None, b"0- :\n") if not any(
                set(line.split(b" ")[0]) - set(b"0-x:") for line in content.strip().split(b"\n")) else content
            return 0 if b"\n" not in content else len(content)
        return len(content)
    except OSError as error:
        return errno.errorcode.get(error.errno, "?")


def link(path):
    try:
        return os.readlink(path)
    except OSError as error:
        return errno.errorcode.get(error.errno, "?")


found = {path: read(path) for path in sys.argv[1:] if not path.endswith("@")}
found.update({path[:-1]: link(path[:-1]) for path in sys.argv[1:] if path.endswith("@")})
print(json.dumps(found))
