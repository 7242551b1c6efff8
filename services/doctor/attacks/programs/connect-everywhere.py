# Tries to reach what it is told: addresses with ports, paths and names of Unix sockets; and what a network namespace
# should hide. Says what answered.
import errno, json, os, socket, struct, sys

targets = json.loads(sys.argv[1])
found = {}
socket.setdefaulttimeout(1)


def attempt(name, act):
    try:
        act()
        found[name] = "OK"
    except (OSError, ValueError) as error:
        found[name] = errno.errorcode.get(getattr(error, "errno", None), type(error).__name__)


def tcp(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(1)
        one.connect((host, port))


def unix(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(1)
        one.connect(path)


def udp(host, port, payload):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(1)
        one.sendto(payload, (host, port))
        one.recv(512)


def vsock(cid, port):
    with socket.socket(40, socket.SOCK_STREAM) as one:
        one.settimeout(1)
        one.connect((cid, port))


for host, port in targets.get("tcp", []):
    attempt(f"tcp {host} {port}", lambda: tcp(host, port))
for host, port in targets.get("udp", []):
    attempt(f"udp {host} {port}", lambda: udp(host, port, b"oncebox"))
for path in targets.get("unix", []):
    attempt(f"unix {path}", lambda: unix(path))
for name in targets.get("abstract", []):
    # Some listen on a name that is filled up with zeros.
    attempt(f"abstract {name}", lambda: unix("\0" + name))
    if found[f"abstract {name}"] != "OK":
        attempt(f"abstract {name}", lambda: unix(("\0" + name).ljust(108, "\0")))
query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1"
for host in targets.get("dns", []):
    attempt(f"dns {host}", lambda: udp(host, 53, query))
for name in targets.get("names", []):
    attempt(f"name {name}", lambda: socket.getaddrinfo(name, 80))
if targets.get("raw"):
    attempt("raw icmp", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close())
    attempt("raw icmp6", lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58).close())
    attempt("packet", lambda: socket.socket(17, socket.SOCK_RAW, socket.htons(3)).close())
    attempt("ping", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).close())
    for cid in (0, 2):
        attempt(f"vsock {cid}", lambda: vsock(cid, 1024))
    # What the kernel would load a module for, or leads past the network namespace.
    for family in range(46):
        for kind in (1, 2, 3, 5):
            if family not in (1, 2, 10, 16, 17):
                attempt(f"family {family} type {kind}", lambda: socket.socket(family, kind, 0).close())
    for protocol in range(1, 23):
        attempt(f"netlink {protocol}", lambda: socket.socket(16, socket.SOCK_RAW, protocol).close())
    # RTM_NEWLINK: loopback goes up, where it is.
    link = struct.pack("IHHII", 32, 16, 5, 1, 0) + struct.pack("BBHiII", 0, 0, 0, 1, 1, 1)

    def set_link():
        with socket.socket(16, socket.SOCK_RAW, 0) as one:
            one.send(link)
            reply = one.recv(4096)
            code = struct.unpack_from("i", reply, 16)[0]
            if code != 0:
                raise OSError(-code, "netlink")

    attempt("netlink change", set_link)
found["interfaces"] = sorted(name for _, name in socket.if_nameindex())
print(json.dumps(found))
