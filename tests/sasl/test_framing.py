"""Base64 on the wire."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pymailsuite.errors import PeerError
from pymailsuite.sasl import Cancelled, MalformedResponse, decode_initial, decode_response, encode_challenge


class FramingTests(SynchronousTestCase):
    @given(st.binary(max_size=200))
    def test_what_is_encoded_is_decoded(self, octets):
        self.assertEqual(decode_response(encode_challenge(octets)), octets)

    @given(st.binary(max_size=60))
    def test_any_line_decodes_or_is_a_peer_error(self, line):
        for decode in (decode_initial, decode_response):
            try:
                decode(line)
            except PeerError:
                pass

    def test_star_cancels_a_response_only(self):
        self.assertRaises(Cancelled, decode_response, b"*")
        self.assertRaises(MalformedResponse, decode_initial, b"*")

    def test_equals_sign_is_the_empty_initial_response(self):
        self.assertEqual(decode_initial(b"="), b"")
        self.assertEqual(decode_response(b""), b"")

    def test_sloppy_base64_is_refused(self):
        for line in (b"=", b"AG", b"AG==AG==", b"AGZ v", b"AGZv!", b"A===", b"\xff"):
            with self.subTest(line=line):
                self.assertRaises(MalformedResponse, decode_response, line)
