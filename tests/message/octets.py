"""Message-like octets for the property tests: pieces that matter to a scan, in any order."""

from hypothesis import strategies as st

PIECES = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\n\n",
    b"\r\n\r\n",
    b"--a",
    b"--ab",
    b"--a--",
    b"--ab--",
    b"\n--a junk",
    b"\n--ab-->",
    b"\r\n--abc\r\n",
    b"x" * 900,
    b"\r\n--a\r\n",
    b"\r\n--ab\r\n",
    b"\r\n--a--\r\n",
    b"\n--a \t\n",
    b"\n--ab--  \r\n",
    b"--",
    b"-",
    b" ",
    b"Content-Type: multipart/mixed; boundary=a\r\n",
    b'Content-Type: multipart/digest; boundary="ab"\n',
    b"Content-Type: multipart/alternative;\r\n boundary=a--\r\n",
    b"content-type: message/rfc822\r\n",
    b"Content-Type: multipart/mixed\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b'Content-Disposition: attachment; filename*0="x"; filename*1*=%41\r\n',
    b"From: A <a@b.example>, =?utf-8?q?=C3=A4?= <c@d>\r\n",
    b'To: friends: a@b, "c\\"d" <c@d>;, x (y (z)\r\n',
    b"Subject: caf\xc3\xa9\r\n",
    b"text\r\n",
    b"\x00",
    b" folded\r\n",
    b"a" * 300,
    b" " * 300,
)

messages = st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=40).map(b"".join)
