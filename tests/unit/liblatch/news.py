# SPDX-License-Identifier: BSD-2-Clause
"""Gets news of a descriptor by latch.py: BROKEN and HEALED of this socket alone, then the end of latchd.

    news.py PATH FD
"""
import os
import select
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../user/liblatch/python"))
import latch

path, sock = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))
with latch.News(path) as news:
    assert news.read() is None
    news.add(sock, 4711)
    poller = select.poll()
    poller.register(news, select.POLLIN)
    for event, why in ((latch.Event.BROKEN, latch.Why.ADMIN), (latch.Event.HEALED, latch.Why.NONE)):
        assert poller.poll(10000)
        item = news.read()
        assert (item.event, item.why, item.data) == (event, why, 4711), item
        assert item.socket == latch.cookie(sock) and item.latch == latch.info(sock).latch, item
    assert latch.state(sock) == latch.State.ESTABLISHED
    assert poller.poll(10000)
    try:
        item = news.read()
    except EOFError:
        sys.exit(0)
    sys.exit(f"after the end: {item}")
