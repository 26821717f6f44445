#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The leak oracle opens ESP by the keys of its SA: run directories made up here."""
import struct
import sys

import tap
from made_up_esp import SA
from made_up_packets import (ACK, AH, C4, C6, C_PORT, ESP, ETHER, FRAGMENT, PSH, RST, SPI_STRAY, SPI_WC,
                             SPI_WD, TCP, UDP, W4, W6, ah_header, esp, fragment_header, ip, sctp, tcp,
                             tcp_body, to_client, to_server, udp)
from made_up_run import END, HOSTS, SENT, START, OracleCase

SECRET = to_client(PSH | ACK, b"secret")
OTHER = tcp(ACK, b"other", ports=(22, C_PORT))
D4 = "10.9.0.3"


class KeysTest(OracleCase):
    """D has brought up IKE with W, and no kernel but W's has encrypted or decrypted a packet."""

    def sends(self, packet, time=START):
        self.run_dir.on_wire("w", "w", packet, time)

    def installed(self, *hosts, sa):
        """A further SA."""
        for host in hosts:
            self.run_dir.monitors.setdefault(host, []).append(sa.line())
        return sa

    # ---- packets that are leaks

    def test_a_reset_under_the_sa_of_another_host_before_its_kernel_has_it_is_readable(self):
        self.sends(SA(SPI_WD).transport(to_client(RST | ACK)))
        leak, = self.expect(["readable"])
        self.assertEqual((leak["packets"], leak["bytes"], leak["where"], leak["flow"], leak["first"]),
                         (1, 0, "d", "w-7000 (w to c)", "TCP flags 0x14"))

    def test_data_under_the_sa_of_another_host_is_readable(self):
        self.sends(SA(SPI_WD).transport(SECRET))
        self.sends(SA(SPI_WD).transport(SECRET))
        leak, = self.expect(["readable"])
        self.assertEqual((leak["packets"], leak["bytes"], leak["text"]), (2, 12, "secretsecret"))

    def test_each_cipher_that_the_scenarios_use_is_opened(self):
        for number, kind in enumerate(("gcm", "chacha", "cbc", "null")):
            for length in range(0, 33, 3):
                with self.subTest("%s, %d bytes" % (kind, length)):
                    self.setUp()
                    sa = self.installed("w", "d", sa=SA(0xD0000000 + number, kind))
                    self.sends(sa.transport(to_client(PSH | ACK, b"s" * length)))
                    leak, = self.expect(["readable"])
                    self.assertEqual(leak["bytes"], length)

    def test_a_packet_that_a_kernel_has_encrypted_is_opened(self):
        """Linux 6.12: the reset of a connection from 10.9.0.1, 7000 to 10.9.0.2, 37735."""
        self.run_dir.flows = [("c-7000", "c", "w", C4, 37735, W4, 7000, "-", "W-TO-C", "tcp"),
                              ("w-7000", "w", "c", W4, 7000, C4, 37735, "W-TO-C", "-", "tcp")]
        self.run_dir.frames["clear"] = {host: [] for host in HOSTS}
        self.run_dir.on_decryption("c", tcp(ACK, SENT, ports=(7000, 37735)))
        self.run_dir.on_decryption("w", tcp(ACK, b"", C4, W4, (37735, 7000)))
        for host in ("w", "d"):
            self.run_dir.monitors[host] = [
                "src 10.9.0.1 dst 10.9.0.2\\\tproto esp spi 0xc20c6956 reqid 1 mode transport\\\t"
                "replay-window 0 \\\taead rfc4106(gcm(aes)) 0x9013fb92c6162c25624d4fad7736bb8097beb084 "
                "128\\\tanti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000\\\t"
                "sel src 10.9.0.1/32 dst 10.9.0.2/32 \\\n"]
        self.sends(bytes.fromhex(
            "4500005804944000403221cc0a0900010a090002c20c6956000000013ba58e24b6ba6d13dbe31eb6"
            "c76eabbb40528372d9fb1c1fc0b35856b30bdfc44f62d159b762f621cb1eea6182591f411ff1021b0ab75a69b1f61bd9"))
        leak, = self.expect(["readable"])
        self.assertEqual((leak["bytes"], leak["first"]), (0, "TCP flags 0x14"))

    def test_esp_in_udp_is_opened(self):
        self.sends(SA(SPI_WD).in_udp(SECRET))
        self.expect(["readable"])

    def test_a_tunnel_is_opened(self):
        self.sends(SA(SPI_WD).tunnel(SECRET, W4, D4))
        self.expect(["readable"])

    def test_esp_over_ipv6_is_opened(self):
        self.over_ipv6()
        self.sends(SA(SPI_WD).transport(tcp(ACK, b"secret", W6, C6)))
        self.expect(["readable"])

    def test_a_tunnel_of_ipv6_in_ipv4_is_opened(self):
        self.over_ipv6()
        self.sends(SA(SPI_WD).tunnel(tcp(ACK, b"secret", W6, C6), W4, D4))
        self.expect(["readable"])

    def test_a_beet_sa_has_the_addresses_of_its_selector(self):
        sa = self.installed("w", "d", sa=SA(SPI_STRAY, mode="beet", selector="%s/32 dst %s/32" % (W4, C4)))
        self.sends(sa.transport(tcp(ACK, b"secret", "192.0.2.1", "192.0.2.2")))
        self.expect(["readable"])

    def test_datagrams_are_opened(self):
        for protocol, make in (("udp", udp), ("sctp", sctp)):
            with self.subTest(protocol):
                self.setUp()
                self.run_dir.replace_flows(protocol, make(SENT), make(b"", C4, W4, (C_PORT, 7000)))
                self.sends(SA(SPI_WD).transport(make(b"secret")))
                self.expect(["readable"])

    def test_a_segment_on_a_device_without_a_cable_is_opened(self):
        self.run_dir.uncabled = ["w"]
        self.run_dir.on_device("w", SA(SPI_WD).transport(SECRET), ETHER)
        self.expect(["readable"])

    def test_a_text_of_a_flow_under_other_addresses_is_readable(self):
        self.sends(SA(SPI_WD).transport(udp(b"W-TO-C 01", W4, D4, (1, 2))))
        leak, = self.expect(["readable"])
        self.assertEqual((leak["where"], leak["text"]), ("d", "W-TO-C 01"))

    def test_a_text_in_the_first_fragment_of_esp_is_readable_once(self):
        body = SA(SPI_WD).transport(udp(b"W-TO-C 01" * 14, W4, D4, (1, 2)))[20:]
        self.sends(ip(ESP, body[:96], W4, D4, ident=7, place=0x2000))
        leak, = self.expect(["readable"])
        self.assertEqual(leak["packets"], 1)

    def test_a_text_of_another_flow_within_a_flow_to_its_peer_is_readable(self):
        self.own_flow_of_d()
        self.sends(SA(SPI_WD).transport(tcp(ACK, b"W-TO-C 01", ports=(9, 9))))
        self.expect(["readable"])

    def test_ah_under_the_sa_of_another_host_is_readable(self):
        self.run_dir.ah_sas = {"w": [SPI_WD], "d": [SPI_WD]}
        self.sends(ip(AH, ah_header(TCP, SPI_WD) + tcp_body(ACK, b"secret")))
        self.expect(["readable"])

    def test_esp_within_ah_is_opened(self):
        self.run_dir.ah_sas = {"w": [SPI_STRAY], "d": [SPI_STRAY]}
        body = SA(SPI_WD).transport(SECRET)[20:]
        self.sends(ip(AH, ah_header(ESP, SPI_STRAY) + body))
        self.expect(["readable"])

    def test_esp_within_esp_of_the_same_host_is_opened(self):
        sa = self.installed("w", "d", sa=SA(SPI_STRAY))
        self.sends(SA(SPI_WD).tunnel(sa.transport(SECRET), W4, D4))
        self.expect(["readable"])

    def test_an_sa_that_a_host_reported_without_keys_counts(self):
        sa = self.installed("w", sa=SA(SPI_STRAY))
        self.run_dir.monitors["d"] = ["Expired " + sa.line_without_keys()]
        self.sends(sa.transport(SECRET))
        self.expect(["readable"])

    def test_an_sa_of_the_peer_with_the_same_spi_and_another_key_covers_no_leak(self):
        self.installed("w", "c", sa=SA(SPI_WD, salt=b"of c"))
        self.sends(SA(SPI_WD).transport(SECRET))
        self.sends(SA(SPI_WD, salt=b"of c").transport(to_client(PSH | ACK, b"to the peer")))
        leak, = self.expect(["readable"])
        self.assertEqual(leak["text"], "secret")

    # ---- fragments

    def test_the_first_fragment_of_esp_is_opened(self):
        for kind in ("gcm", "chacha", "cbc", "null"):
            with self.subTest(kind):
                self.setUp()
                sa = self.installed("w", "d", sa=SA(SPI_STRAY, kind))
                body = sa.transport(to_client(PSH | ACK, b"W-TO-C 01" * 14))[20:]
                self.sends(ip(ESP, body[:90], ident=7, place=0x2000))
                self.sends(ip(ESP, body[90:], ident=7, place=11))
                leak, = self.expect(["readable"])
                self.assertEqual(leak["packets"], 1)

    def test_the_first_fragment_of_a_tunnel_is_opened(self):
        sa = self.installed("w", "d", sa=SA(SPI_STRAY, mode="tunnel"))
        body = sa.tunnel(to_client(PSH | ACK, b"secret" * 20), W4, D4)[20:]
        self.sends(ip(ESP, body[:96], W4, D4, ident=7, place=0x2000))
        self.expect(["readable"])

    def test_the_first_fragment_of_esp_over_ipv6_is_opened(self):
        self.over_ipv6()
        body = SA(SPI_WD).transport(tcp(ACK, b"secret" * 20, W6, C6))[40:]
        self.sends(ip(FRAGMENT, fragment_header(ESP, 0, 1) + body[:96], W6, C6))
        self.expect(["readable"])

    def test_the_first_fragment_of_esp_in_udp_is_opened(self):
        body = SA(SPI_WD).in_udp(to_client(PSH | ACK, b"secret" * 20))[20:]
        self.sends(ip(UDP, body[:96], ident=7, place=0x2000))
        self.expect(["readable"])

    def test_esp_that_is_longer_than_the_capture_keeps_is_opened(self):
        self.sends(SA(SPI_WD).transport(to_client(PSH | ACK, b"secret" * 20))[:100])
        self.expect(["readable"])

    def test_fragments_of_an_application_that_the_kernel_encrypts_each_are_opened(self):
        sa = SA(SPI_WD)
        self.sends(sa.transport(ip(TCP, tcp_body(ACK, b"head")), 0x2000))
        self.sends(sa.transport(ip(TCP, b"the rest"), 3))
        leak, = self.expect(["readable"])
        self.assertEqual((leak["packets"], leak["bytes"]), (2, 12))

    def test_fragments_within_a_tunnel_are_opened(self):
        self.sends(SA(SPI_WD).tunnel(ip(TCP, b"the rest", ident=7, place=3), W4, D4))
        self.sends(SA(SPI_WD).tunnel(ip(TCP, tcp_body(ACK, b"head"), ident=7, place=0x2000), W4, D4))
        leak, = self.expect(["readable"])
        self.assertEqual((leak["packets"], leak["bytes"]), (2, 12))

    def test_a_later_fragment_alone_within_a_tunnel_is_readable_once(self):
        self.sends(SA(SPI_WD).tunnel(ip(TCP, b"W-TO-C 01", ident=7, place=3), W4, D4))
        leak, = self.expect(["readable"])
        self.assertEqual((leak["packets"], leak["first"]), (1, "fragment at 24"))

    def test_fragments_of_another_connection_within_a_tunnel_are_no_leak(self):
        first = tcp_body(ACK, b"head", (22, C_PORT))
        self.sends(SA(SPI_WD).tunnel(ip(TCP, first, ident=7, place=0x2000), W4, D4))
        self.sends(SA(SPI_WD).tunnel(ip(TCP, b"the rest", ident=7, place=3), W4, D4))
        self.expect()

    def test_the_first_fragment_of_esp_of_another_connection_is_no_leak(self):
        body = SA(SPI_WD).transport(tcp(ACK, b"other" * 20, ports=(22, C_PORT)))[20:]
        self.sends(ip(ESP, body[:96], ident=7, place=0x2000))
        self.sends(ip(ESP, body[96:], ident=7, place=12))
        self.expect()

    # ---- packets that are none

    def test_the_same_packets_under_an_sa_of_the_true_peer_are_no_leak(self):
        for packet in (SECRET, to_client(RST | ACK)):
            self.sends(SA(SPI_WC).transport(packet))
            self.sends(SA(SPI_WC).in_udp(packet))
            self.sends(SA(SPI_WC).tunnel(packet, W4, C4))
        self.expect()

    def test_data_for_the_true_peer_before_its_kernel_has_the_sa_is_no_leak(self):
        sa = self.installed("w", "c", sa=SA(SPI_STRAY))
        self.sends(sa.transport(SECRET), START - 5)
        self.expect()

    def test_an_sa_that_the_true_peer_has_as_well_is_no_leak(self):
        sa = self.installed("w", "c", "d", sa=SA(SPI_STRAY))
        self.sends(sa.transport(SECRET))
        self.expect()

    def test_a_reset_after_the_end_is_counted_apart(self):
        self.sends(SA(SPI_WD).transport(to_client(RST)), END - 0.5)
        self.sends(SA(SPI_WD).transport(to_client(RST | ACK)), END + 1)
        self.expect(after_end={"w-7000": 2})

    def test_data_after_the_end_is_readable(self):
        self.sends(SA(SPI_WD).transport(to_client(RST, b"secret")), END + 1)
        self.sends(SA(SPI_WD).transport(to_client(ACK)), END + 1)
        leak, = self.expect(["readable"])
        self.assertEqual(leak["packets"], 2)

    def test_another_connection_under_the_sa_of_another_host_is_no_leak(self):
        self.sends(SA(SPI_WD).transport(OTHER))
        self.expect()

    def own_flow_of_d(self):
        self.run_dir.flows.append(("w-9", "w", "d", W4, 9, C4, 9, "W-TO-D", "-", "tcp"))
        self.run_dir.sent["w-9"], self.run_dir.received["w-9"] = b"", b""
        self.run_dir.on_decryption("w", tcp(ACK, b"", C4, W4, (9, 9)))

    def test_a_flow_of_the_other_host_under_its_own_sa_is_no_leak(self):
        self.own_flow_of_d()
        self.sends(SA(SPI_WD).transport(tcp(ACK, b"W-TO-D 01", ports=(9, 9))))
        self.expect()

    def test_a_later_flow_of_the_same_ports_is_no_leak_and_an_earlier_one_is(self):
        self.run_dir.replace_flows("udp", udp(SENT), udp(b"", C4, W4, (C_PORT, 7000)))
        self.run_dir.flows.append(("w-again", "w", "d", W4, 7000, C4, C_PORT, "W-TO-NEW", "-", "udp"))
        self.run_dir.events["w-again"] = "%.3f connected\n" % END
        self.sends(SA(SPI_WD).transport(udp(b"W-TO-NEW")), END + 1)
        self.sends(SA(SPI_WD).transport(udp(b"secret")), END - 1)
        leak, = self.expect(["readable"])
        self.assertEqual((leak["flow"], leak["packets"]), ("w-7000 (w to c)", 1))

    def test_what_the_other_host_forges_under_its_own_sa_is_no_leak(self):
        sa = self.installed("w", "d", sa=SA(SPI_STRAY))
        for host in HOSTS:
            self.run_dir.on_wire(host, "d", sa.transport(to_server(PSH | ACK, b"forged")))
        self.run_dir.on_wire("d", "d", sa.transport(SECRET))
        self.expect()

    def test_a_frame_that_a_scenario_forged_is_no_leak(self):
        self.run_dir.on_device("w", SA(SPI_WD).transport(SECRET), ETHER, "forger")
        self.expect()

    def test_esp_for_the_true_peer_within_esp_of_another_host_is_no_leak(self):
        self.own_flow_of_d()
        self.run_dir.ah_sas = {"w": [SPI_STRAY], "d": [SPI_STRAY]}
        for packet in (SECRET, to_client(PSH | ACK, b"W-TO-C 01"),
                       ip(AH, ah_header(TCP, SPI_STRAY) + tcp_body(ACK, b"secret"))):
            self.sends(SA(SPI_WD).tunnel(SA(SPI_WC).transport(packet), W4, D4))
            self.sends(SA(SPI_WC).tunnel(SA(SPI_WD).transport(packet), W4, C4))
        self.expect()

    def test_a_flow_that_the_other_kernel_decrypted_is_no_second_finding(self):
        self.sends(SA(SPI_WD).transport(SECRET))
        self.run_dir.on_decryption("d", SECRET)
        self.expect(["decrypted"])

    def test_another_flow_that_the_other_kernel_decrypted_covers_no_leak(self):
        self.run_dir.flows.append(("w-9", "w", "c", W4, 9, C4, 9, "-", "-", "tcp"))
        self.run_dir.sent["w-9"], self.run_dir.received["w-9"] = b"", b""
        self.run_dir.on_decryption("w", tcp(ACK, b"", C4, W4, (9, 9)))
        self.run_dir.on_decryption("d", tcp(ACK, b"", ports=(9, 9)))
        self.sends(SA(SPI_WD).transport(SECRET))
        self.expect(["decrypted", "readable"])

    def test_an_alias_of_a_flow_is_readable(self):
        self.run_dir.aliases = [("w-7000", W4, 7000, "10.8.1.2", C_PORT)]
        self.sends(SA(SPI_WD).transport(tcp(ACK, b"", W4, "10.8.1.2")))
        leak, = self.expect(["readable"])
        self.assertEqual(leak["flow"], "w-7000 (w to c)")

    # ---- sight

    def test_an_algorithm_that_the_oracle_does_not_know_is_blind_once(self):
        for spi in (SPI_STRAY, SPI_STRAY + 1):
            sa = self.installed("w", "d", sa=SA(spi, "unknown"))
            self.sends(sa.transport(OTHER))
        self.expect(blind=["w sent ESP with cbc(camellia), which the oracle cannot open"])

    def test_an_algorithm_that_the_oracle_does_not_know_is_not_blind_without_a_packet(self):
        self.installed("w", "d", sa=SA(SPI_STRAY, "unknown"))
        self.expect()

    def test_an_algorithm_that_the_oracle_does_not_know_is_not_blind_between_the_ends(self):
        sa = self.installed("w", "c", sa=SA(SPI_STRAY, "unknown"))
        self.sends(sa.transport(SECRET))
        self.expect()

    def test_an_algorithm_that_the_oracle_does_not_know_is_not_blind_at_a_host_without_a_flow(self):
        sa = self.installed("w", "d", sa=SA(SPI_STRAY, "unknown"))
        self.run_dir.on_wire("d", "d", sa.transport(SECRET))
        self.expect()

    def test_an_sa_without_keys_is_blind(self):
        sa = SA(SPI_STRAY)
        for host in ("w", "d"):
            self.run_dir.monitors[host] = [sa.line_without_keys()]
        self.sends(sa.transport(SECRET))
        self.expect(blind=["w sent ESP under SPI 0xc00000ff, of which no keys were seen"])

    def test_keys_that_the_monitor_hides_are_blind(self):
        sa = SA(SPI_STRAY)
        for host in ("w", "d"):
            line = sa.line().replace("0x" + sa.key[:20].hex(), "<<Keys hidden>>")
            self.run_dir.monitors[host] = [line]
        self.sends(sa.transport(SECRET))
        self.expect(blind=["w sent ESP under SPI 0xc00000ff, of which no keys were seen"])

    def test_esp_that_its_keys_do_not_open_is_blind(self):
        for kind in ("gcm", "chacha", "cbc", "null"):
            with self.subTest(kind):
                self.setUp()
                sa = self.installed("w", "d", sa=SA(SPI_STRAY, kind))
                for size in (0, 8, 24, 64):
                    self.sends(ip(ESP, struct.pack("!II", sa.spi, 1) + b"\x5a" * size))
                self.expect(blind=["w sent ESP under SPI 0xc00000ff, which its keys do not open"])

    def test_another_padding_than_that_of_the_standard_shows_that_the_keys_do_not_open_esp(self):
        sa = self.installed("w", "d", sa=SA(SPI_STRAY, "null"))
        text = tcp_body(PSH | ACK, b"secret")
        for padding in (b"\1\2\3", b"\1\2\4"):
            trailer = padding + bytes((len(padding), TCP)) + b"\x5a" * 16
            self.sends(ip(ESP, struct.pack("!II", sa.spi, 1) + text + trailer))
        leak, = self.expect(["readable"], ["w sent ESP under SPI 0xc00000ff, which its keys do not open"])
        self.assertEqual(leak["packets"], 1)

    def test_a_monitor_that_ends_within_a_line_is_read_up_to_there(self):
        line = SA(SPI_WD).line()
        for end in range(len(line)):
            with self.subTest(line[:end]):
                self.setUp()
                self.run_dir.monitors["c"] = [line[:end]]
                self.run_dir.findings()


if __name__ == "__main__":
    sys.exit(tap.main("oracle_keys", KeysTest))
