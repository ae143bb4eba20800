"""White space as the relaxed canonicalisations of header and body have it. Source: RFC 6376 §3.4.2, §3.4.4."""


def single_spaced(text: bytes) -> bytes:
    """Runs of spaces and tabs as one space.

    Each pass halves the runs, so that even one enormous run takes few; a regular expression would stop at each word.
    """
    if b"\t" in text:
        text = text.replace(b"\t", b" ")
    if b" " not in text:
        return text  # as encoded attachments are: one octet is found many times as fast as two
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text
