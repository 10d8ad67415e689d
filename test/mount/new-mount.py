"""mount(8) as util-linux 2.39 and later does it: by fsopen(2) and kin, where nobody takes the subtype out of the type."""
import ctypes
import os
import sys

MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT = 429, 430, 431, 432
SET_FLAG, SET_STRING, CMD_CREATE = 0, 1, 6
MOVE_MOUNT_F_EMPTY_PATH = 4
AT_FDCWD = -100
ATTRIBUTES = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 0x10}

libc = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    if result < 0:
        sys.exit(f"mount: system call {number} {arguments}: {os.strerror(ctypes.get_errno())}")
    return result


def arguments_of(argv):
    """Options with a value, and the two words."""
    values, words, rest = {}, [], list(argv)
    while rest:
        word = rest.pop(0)
        if word in ("-t", "-o"):
            values[word] = rest.pop(0)
        elif not word.startswith("-"):
            words.append(word)
    return values, words


values, (source, target) = arguments_of(sys.argv[1:])
context = call(FSOPEN, values["-t"].encode(), 1)
call(FSCONFIG, context, SET_STRING, b"source", source.encode(), 0)
attributes = 0
for option in values["-o"].split(","):
    name, equals, value = option.partition("=")
    if name in ATTRIBUTES:
        attributes |= ATTRIBUTES[name]
    elif equals:
        call(FSCONFIG, context, SET_STRING, name.encode(), value.encode(), 0)
    else:
        call(FSCONFIG, context, SET_FLAG, name.encode(), None, 0)
call(FSCONFIG, context, CMD_CREATE, None, None, 0)
mount = call(FSMOUNT, context, 1, attributes)
call(MOVE_MOUNT, mount, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH)
