#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The leak oracle of the VM tests, on run directories made up here."""
import json
import struct
import sys

import tap
from made_up_esp import SA
from made_up_packets import (ACK, AH, C4, C6, C_PORT, DESTINATION, ESP, ETHER, FIN, FRAGMENT,
                             HOP_BY_HOP, ICMP, LOOPBACK, NONE, PSH, ROUTING, RST, SPI_STRAY,
                             SPI_WC, SPI_WD, TCP, UDP, W4, W6, W_PORT, ah_header, esp, esp_in_udp,
                             extension, fragment_header, ike, ip, keepalive, sctp, tagged, tcp,
                             tcp_body, to_client, to_server, udp, udp_body)
from made_up_run import END, HOSTS, SENT, START, OracleCase, inside_host


class OracleTest(OracleCase):
    def test_a_clean_run_has_no_finding(self):
        self.expect()

    def test_the_command_prints_the_findings(self):
        self.run_dir.on_wire("w", "w", to_client(PSH | ACK, b"secret"))
        done = self.run_dir.ask()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        found = json.loads(done.stdout)
        self.assertEqual([leak["kind"] for leak in found["leaks"]], ["clear"])
        self.assertEqual(found["hosts"], ["c", "d", "w"])

    def test_a_segment_in_clear_on_the_wire_is_a_leak(self):
        self.run_dir.on_wire("w", "w", to_client(PSH | ACK, b"secret"))
        self.run_dir.on_wire("w", "w", to_client(PSH | ACK, b"secret"))
        leak, = self.expect(["clear"])
        self.assertEqual((leak["packets"], leak["bytes"], leak["where"], leak["flow"]),
                         (2, 12, "wire at w", "w-7000 (w to c)"))
        self.assertIn("secret", leak["text"])

    def test_a_segment_in_clear_without_payload_is_a_leak(self):
        self.run_dir.on_wire("w", "w", to_client(ACK))
        self.expect(["clear"])

    def test_a_segment_in_clear_over_ipv6_is_a_leak(self):
        self.over_ipv6()
        self.run_dir.on_wire("w", "w", tcp(ACK, b"secret", W6, C6))
        self.expect(["clear"])

    def test_a_segment_in_clear_behind_extension_headers_is_a_leak(self):
        for name, kind in (("hop-by-hop", HOP_BY_HOP), ("routing", ROUTING),
                           ("destination", DESTINATION)):
            with self.subTest(name):
                self.setUp()
                self.over_ipv6()
                body = extension(DESTINATION) + extension(TCP) + tcp_body(ACK, b"secret")
                self.run_dir.on_wire("w", "w", ip(kind, body, W6, C6))
                self.expect(["clear"])

    def test_a_datagram_of_another_port_behind_extension_headers_is_no_leak(self):
        self.over_ipv6()
        body = extension(TCP) + tcp_body(ACK, b"other", (22, C_PORT))
        self.run_dir.on_wire("w", "w", ip(HOP_BY_HOP, body, W6, C6))
        self.expect()

    def test_esp_behind_an_extension_header_is_protected(self):
        self.over_ipv6()
        self.run_dir.on_wire("w", "w", ip(DESTINATION, extension(ESP) + esp()[20:], W6, C6))
        self.expect()

    def test_a_truncated_extension_header_breaks_nothing(self):
        self.over_ipv6()
        self.run_dir.on_wire("w", "w", ip(HOP_BY_HOP, b"", W6, C6))
        self.run_dir.on_wire("w", "w", ip(HOP_BY_HOP, extension(TCP) + b"\0", W6, C6))
        self.expect()

    # ---- AH

    def test_ah_under_an_spi_that_no_other_host_had_does_not_protect(self):
        self.over_ipv6()
        body = ah_header(TCP, SPI_STRAY) + tcp_body(ACK, b"secret")
        self.run_dir.on_wire("w", "w", ip(AH, body, W6, C6))
        self.expect(["clear", "unpaired"])

    def test_ah_under_an_spi_of_the_peer_protects(self):
        self.over_ipv6()
        self.run_dir.ah_sas = {"w": [SPI_WC], "c": [SPI_WC]}
        body = ah_header(TCP, SPI_WC) + tcp_body(ACK, b"integrity only")
        self.run_dir.on_wire("w", "w", ip(AH, body, W6, C6))
        self.run_dir.on_wire("w", "w", ip(AH, ah_header(TCP, SPI_WC) + tcp_body(ACK, SENT)))
        self.expect()

    # ---- fragments

    def test_a_later_fragment_follows_its_first_one(self):
        self.run_dir.on_wire("w", "w", ip(TCP, b"the rest", ident=7, place=3))
        self.run_dir.on_wire("w", "w", ip(TCP, tcp_body(ACK, b"head"), ident=7, place=0x2000))
        leak, = self.expect(["clear"])
        self.assertEqual((leak["packets"], leak["bytes"]), (2, 12))

    def test_a_later_fragment_of_another_flow_is_no_leak(self):
        first = tcp_body(ACK, b"head", (22, C_PORT))
        self.run_dir.on_wire("w", "w", ip(TCP, first, ident=7, place=0x2000))
        self.run_dir.on_wire("w", "w", ip(TCP, b"the rest", ident=7, place=3))
        self.expect()

    def test_a_later_fragment_is_not_covered_by_a_first_one_of_another_packet(self):
        first = tcp_body(ACK, b"head", (22, C_PORT))
        self.run_dir.on_wire("w", "w", ip(TCP, first, ident=8, place=0x2000))
        self.run_dir.on_wire("w", "w", ip(TCP, first, ident=7, place=0x2000), START - 60)
        self.run_dir.on_wire("w", "w", ip(TCP, b"the rest", ident=7, place=3))
        self.expect(["clear"])

    def test_a_later_fragment_alone_between_the_ends_of_a_flow_is_a_leak(self):
        self.run_dir.on_wire("w", "w", ip(TCP, b"the rest", ident=7, place=3))
        leak, = self.expect(["clear"])
        self.assertEqual(leak["first"], "fragment at 24")

    def test_a_later_fragment_alone_of_another_protocol_is_no_leak(self):
        self.run_dir.on_wire("w", "w", ip(UDP, b"the rest", ident=7, place=3))
        self.run_dir.on_wire("w", "w", ip(ESP, b"the rest", ident=8, place=3))
        self.expect()

    def test_a_later_fragment_alone_to_another_host_is_no_leak(self):
        self.run_dir.on_wire("w", "w", ip(TCP, b"the rest", W4, "10.9.0.77", 7, 3))
        self.expect()

    def test_a_later_fragment_alone_that_another_host_forged_is_no_leak(self):
        self.run_dir.on_wire("w", "d", ip(TCP, b"the rest", C4, W4, 7, 3))
        self.expect()

    def test_a_later_fragment_of_esp_in_udp_is_no_leak(self):
        self.run_dir.replace_flows("udp", udp(SENT), udp(b"", C4, W4, (C_PORT, W_PORT)))
        first = udp_body(struct.pack("!II", SPI_WC, 1) + b"x" * 16, (4500, 4500))
        self.run_dir.on_wire("w", "w", ip(UDP, first, ident=7, place=0x2000))
        self.run_dir.on_wire("w", "w", ip(UDP, b"the rest", ident=7, place=4))
        self.expect()

    def test_a_later_fragment_over_ipv6_is_a_leak(self):
        self.over_ipv6()
        self.run_dir.on_wire("w", "w", ip(FRAGMENT, fragment_header(TCP, 24, 0) + b"rest", W6, C6))
        self.expect(["clear"])

    def test_a_later_fragment_over_ipv6_of_another_flow_is_no_leak(self):
        self.over_ipv6()
        first = fragment_header(TCP, 0, 1) + tcp_body(ACK, b"head", (22, C_PORT))
        self.run_dir.on_wire("w", "w", ip(FRAGMENT, first, W6, C6))
        self.run_dir.on_wire("w", "w", ip(FRAGMENT, fragment_header(TCP, 24, 0) + b"rest", W6, C6))
        self.expect()

    def test_a_whole_datagram_with_a_fragment_header_is_a_leak(self):
        self.over_ipv6()
        body = fragment_header(TCP, 0, 0) + tcp_body(ACK, b"secret")
        self.run_dir.on_wire("w", "w", ip(FRAGMENT, body, W6, C6))
        self.expect(["clear"])

    def test_a_later_fragment_decrypted_by_another_host_is_a_leak(self):
        self.run_dir.on_decryption("d", ip(TCP, tcp_body(ACK, b"head"), ident=7, place=0x2000))
        self.run_dir.on_decryption("d", ip(TCP, b"the rest", ident=7, place=3))
        leak, = self.expect(["decrypted"])
        self.assertEqual((leak["packets"], leak["bytes"]), (2, 12))

    def test_a_later_fragment_alone_decrypted_by_another_host_is_a_leak(self):
        self.run_dir.on_decryption("d", ip(TCP, b"the rest", ident=7, place=3))
        self.run_dir.on_decryption("c", ip(TCP, b"the rest", ident=8, place=3))
        leak, = self.expect(["decrypted"])
        self.assertEqual(leak["packets"], 1)

    # ---- datagrams

    def datagram_flows(self, protocol, make):
        back = make(b"", C4, W4, (C_PORT, W_PORT))
        self.run_dir.replace_flows(protocol, make(SENT), back)

    def test_a_datagram_in_clear_is_a_leak(self):
        for protocol, make in (("udp", udp), ("sctp", sctp)):
            with self.subTest(protocol):
                self.setUp()
                self.datagram_flows(protocol, make)
                self.run_dir.on_wire("w", "w", make(b"secret"))
                leak, = self.expect(["clear"])
                self.assertEqual(leak["first"], protocol.upper())

    def test_a_datagram_decrypted_by_another_host_is_a_leak(self):
        for protocol, make in (("udp", udp), ("sctp", sctp)):
            with self.subTest(protocol):
                self.setUp()
                self.datagram_flows(protocol, make)
                self.run_dir.on_decryption("d", make(b"secret"))
                self.expect(["decrypted"])

    def test_a_datagram_with_the_ports_of_a_flow_of_another_protocol_is_no_leak(self):
        self.run_dir.on_wire("w", "w", udp(b"other"))
        self.run_dir.on_decryption("d", sctp(b"other"))
        self.expect()

    def test_a_datagram_in_clear_of_the_peer_is_no_leak_of_a_host_that_registered_nothing(self):
        self.datagram_flows("udp", udp)
        self.run_dir.flows = self.run_dir.flows[1:]
        self.run_dir.on_wire("c", "c", udp(b"forged", C4, W4, (C_PORT, W_PORT)))
        self.run_dir.on_wire("c", "c", esp(C4, W4, SPI_STRAY))
        self.expect()

    def test_a_flow_of_datagrams_without_an_answer_is_seen(self):
        self.datagram_flows("udp", udp)
        self.run_dir.frames["clear"]["w"] = []
        self.expect()

    def test_a_message_that_the_peer_did_not_send_is_foreign(self):
        self.datagram_flows("udp", udp)
        self.run_dir.received["c-7000"] = SENT + b"FORGED\n"
        leak, = self.expect(["foreign"])
        self.assertEqual((leak["first"], leak["text"]), ("message 3", "FORGED"))

    def test_messages_that_were_lost_or_came_in_another_order_are_no_leak(self):
        self.datagram_flows("udp", udp)
        self.run_dir.received["c-7000"] = b"W-TO-C 000001\n"
        self.expect()

    def connect_again(self):
        """The same addresses and ports, and D is the true peer from END on."""
        self.datagram_flows("udp", udp)
        self.run_dir.flows.append(("w-again", "w", "d", W4, W_PORT, C4, C_PORT, "W-TO-NEW", "-",
                                   "udp"))
        self.run_dir.events["w-again"] = "%.3f connected\n" % END

    def test_a_datagram_of_a_later_flow_of_the_same_ports_is_no_leak(self):
        self.connect_again()
        self.run_dir.passes("w", "d", udp(b"W-TO-NEW"), END + 1)
        self.expect()

    def test_a_datagram_of_an_earlier_flow_of_the_same_ports_is_a_leak(self):
        self.connect_again()
        self.run_dir.passes("w", "d", udp(b"secret"), END - 1)
        leak, = self.expect(["decrypted"])
        self.assertEqual(leak["flow"], "w-7000 (w to c)")

    def test_a_text_of_an_earlier_flow_of_the_same_ports_is_a_leak_at_any_time(self):
        self.connect_again()
        self.run_dir.passes("w", "d", udp(b"W-TO-C"), END + 1)
        leak, = self.expect(["decrypted"])
        self.assertEqual((leak["flow"], leak["first"]), ("c-7000 (c to w)", "text of the flow in UDP"))

    # ---- other packets around a packet

    def test_a_segment_in_clear_in_an_unprotected_tunnel_is_a_leak(self):
        self.run_dir.on_wire("w", "w", ip(4, to_client(ACK, b"secret"), "192.0.2.1", "192.0.2.2"))
        self.expect(["clear"])

    def test_a_segment_in_clear_in_a_vlan_is_a_leak(self):
        self.run_dir.frame("wire", "w", tagged("w", to_client(ACK, b"secret")))
        self.expect(["clear"])

    def test_a_segment_in_clear_forged_by_another_host_is_no_leak(self):
        for host in HOSTS:
            self.run_dir.on_wire(host, "d", to_server(PSH | ACK, b"forged"))
        self.expect()

    def test_a_segment_in_clear_of_another_connection_is_no_leak(self):
        self.run_dir.on_wire("w", "w", tcp(PSH | ACK, b"other", ports=(22, C_PORT)))
        self.expect()

    def test_a_segment_decrypted_by_another_host_is_a_leak(self):
        self.run_dir.on_decryption("d", to_client(PSH | ACK, b"secret"))
        leak, = self.expect(["decrypted"])
        self.assertEqual((leak["packets"], leak["bytes"], leak["where"], leak["flow"]),
                         (1, 6, "d", "w-7000 (w to c)"))

    def test_a_segment_decrypted_without_payload_is_a_leak(self):
        self.run_dir.on_decryption("d", to_client(FIN | ACK))
        self.expect(["decrypted"])

    def test_bytes_that_the_peer_did_not_send_are_foreign(self):
        self.run_dir.received["w-7000"] = b"FORGED"
        leak, = self.expect(["foreign"])
        self.assertEqual((leak["bytes"], leak["text"]), (6, "FORGED"))

    def test_a_foreign_byte_at_the_end_is_found(self):
        self.run_dir.received["c-7000"] = SENT + b"!"
        leak, = self.expect(["foreign"])
        self.assertEqual(leak["first"], "from byte %d on" % len(SENT))

    def test_a_foreign_byte_in_the_middle_is_found(self):
        self.run_dir.received["c-7000"] = SENT[:5] + b"!" + SENT[6:]
        self.expect(["foreign"])

    def test_a_part_of_a_stream_is_no_leak(self):
        self.run_dir.received["c-7000"] = SENT[:9]
        self.expect()

    def test_a_reset_after_the_end_is_counted_apart(self):
        self.run_dir.on_decryption("d", to_client(RST), END)
        self.run_dir.on_decryption("d", to_client(RST | ACK), END + 5)
        self.expect(after_end={"w-7000": 2})

    def test_a_reset_in_clear_after_the_end_is_counted_apart(self):
        self.run_dir.on_wire("w", "w", to_client(RST), END + 1)
        self.expect(after_end={"w-7000": 1})

    def test_a_reset_before_the_application_reports_is_counted_apart(self):
        self.run_dir.on_decryption("d", to_client(RST), END - 0.5)
        self.expect(after_end={"w-7000": 1})

    def test_a_reset_of_the_open_socket_is_a_leak(self):
        self.run_dir.on_decryption("d", to_client(RST | ACK), END - 0.5)
        self.expect(["decrypted"])

    def test_a_reset_before_the_end_is_a_leak(self):
        self.run_dir.on_decryption("d", to_client(RST), END - 2)
        self.expect(["decrypted"])

    def test_a_reset_without_an_end_is_a_leak(self):
        self.run_dir.ended = False
        self.run_dir.on_decryption("d", to_client(RST), END + 5)
        self.expect(["decrypted"])

    def test_other_packets_after_the_end_are_leaks(self):
        self.run_dir.on_decryption("d", to_client(ACK), END + 1)
        self.run_dir.on_decryption("d", to_client(FIN | ACK), END + 1)
        leak, = self.expect(["decrypted"])
        self.assertEqual(leak["packets"], 2)

    def test_payload_after_the_end_is_a_leak(self):
        self.run_dir.on_decryption("d", to_client(RST, b"secret"), END + 1)
        self.run_dir.on_decryption("d", to_client(PSH | ACK, b"secret"), END + 1)
        leak, = self.expect(["decrypted"])
        self.assertEqual(leak["bytes"], 12)

    # ---- addresses behind a NAT, and texts

    def test_an_alias_of_a_flow_decrypted_by_another_host_is_a_leak(self):
        self.run_dir.aliases = [("w-7000", W4, W_PORT, "10.8.1.2", C_PORT)]
        self.run_dir.on_decryption("d", tcp(ACK, b"", W4, "10.8.1.2"))
        leak, = self.expect(["decrypted"])
        self.assertEqual(leak["flow"], "w-7000 (w to c)")

    def test_an_alias_of_a_flow_in_clear_is_a_leak(self):
        self.run_dir.aliases = [("w-7000", W4, W_PORT, "10.8.1.2", C_PORT)]
        self.run_dir.on_wire("w", "w", tcp(ACK, b"", W4, "10.8.1.2"))
        self.expect(["clear"])

    def test_an_alias_of_a_flow_decrypted_by_its_peer_is_no_leak(self):
        self.run_dir.aliases = [("w-7000", W4, W_PORT, "10.8.0.2", C_PORT)]
        self.run_dir.on_decryption("c", tcp(ACK, b"", W4, "10.8.0.2"))
        self.run_dir.on_decryption("d", tcp(ACK, b"", W4, "10.8.1.2"))
        self.expect()

    def test_an_alias_shows_that_a_flow_was_decrypted(self):
        self.run_dir.aliases = [("w-7000", W4, W_PORT, "10.8.0.2", C_PORT)]
        self.run_dir.frames["clear"]["w"] = []
        self.run_dir.on_decryption("w", tcp(ACK, b"", "10.8.0.2", W4, (C_PORT, W_PORT)))
        self.expect()

    def test_a_text_decrypted_by_another_host_is_a_leak(self):
        self.run_dir.on_decryption("d", tcp(ACK, b"W-TO-C 01", W4, "10.8.1.2", (1, 2)))
        leak, = self.expect(["decrypted"])
        self.assertEqual((leak["bytes"], leak["text"]), (9, "W-TO-C 01"))

    def test_a_text_decrypted_by_its_peer_is_no_leak(self):
        self.run_dir.on_decryption("c", tcp(ACK, b"W-TO-C 01", W4, "10.8.1.2", (1, 2)))
        self.expect()

    def test_a_text_that_another_host_may_see_by_another_flow_is_no_leak(self):
        self.run_dir.flows.append(("w-9", "w", "d", W4, 9, C4, 9, "W-TO-C", "-", "tcp"))
        self.run_dir.sent["w-9"], self.run_dir.received["w-9"] = b"", b""
        self.run_dir.on_decryption("w", tcp(ACK, b"", C4, W4, (9, 9)))
        self.run_dir.on_decryption("d", tcp(ACK, b"W-TO-C 01", W4, C4, (9, 9)))
        self.expect()

    def test_a_text_in_clear_on_a_wire_is_a_leak_of_any_sender(self):
        for host, sender in (("w", "w"), ("d", "d"), ("w", "router")):
            with self.subTest(sender):
                self.setUp()
                self.run_dir.on_wire(host, sender, udp(b"W-TO-C 01", ports=(1, 2)))
                self.expect(["clear"])

    def test_a_text_in_a_later_fragment_in_clear_is_a_leak(self):
        self.run_dir.on_wire("w", "w", ip(UDP, b"W-TO-C 01", ident=7, place=3))
        self.expect(["clear"])

    def test_another_text_in_clear_is_no_leak(self):
        self.run_dir.on_wire("w", "w", udp(b"TO-C", ports=(1, 2)))
        self.run_dir.on_wire("w", "router", udp(b"TO-C", ports=(1, 2)))
        self.expect()

    # ---- SAs

    def test_esp_under_an_spi_that_no_other_host_had_is_a_leak(self):
        self.run_dir.sas["w"].append(SPI_STRAY)
        self.run_dir.on_wire("w", "w", esp(spi=SPI_STRAY))
        self.run_dir.on_wire("w", "w", esp(spi=SPI_STRAY))
        leak, = self.expect(["unpaired"])
        self.assertEqual((leak["where"], leak["first"]),
                         ("SPI 0xc00000ff of w", "2 packets of ESP"))

    def test_esp_in_udp_under_an_spi_that_no_other_host_had_is_a_leak(self):
        self.run_dir.on_wire("w", "w", esp_in_udp(spi=SPI_STRAY, ports=(4500, 61234)))
        self.expect(["unpaired"])

    def test_esp_under_an_spi_that_another_host_had_is_paired(self):
        self.run_dir.on_wire("w", "w", SA(SPI_WD).transport(tcp(ACK, b"other", ports=(22, C_PORT))))
        self.expect()

    def test_stray_esp_of_a_host_without_a_flow_is_no_leak(self):
        self.run_dir.on_wire("d", "d", esp(C4, W4, SPI_STRAY))
        self.run_dir.on_wire("w", "d", esp(C4, W4, SPI_STRAY))
        self.expect()

    # ---- resets and ends

    def reset_w(self, time=END):
        self.run_dir.events["w-7000"] = ("%.3f connected\n%.3f error stream ECONNRESET\n"
                                         "%.3f end sent=1\n" % (START, time, time))

    def test_a_reset_in_clear_that_ends_a_flow_is_injected(self):
        self.reset_w()
        self.run_dir.on_wire("w", "d", to_server(RST), END - 0.01)
        leak, = self.expect(["injected"])
        self.assertEqual((leak["flow"], leak["where"], leak["first"]),
                         ("w-7000 (w to c)", "application w-7000",
                          "ECONNRESET by TCP flags 0x04, which c did not encrypt"))

    def test_a_reset_under_the_sa_of_another_host_that_ends_a_flow_is_injected(self):
        self.reset_w()
        self.run_dir.passes("d", "w", to_server(RST), END - 0.01)
        self.expect(["injected"])

    def test_a_reset_of_the_true_peer_is_not_injected(self):
        self.reset_w()
        self.run_dir.passes("c", "w", to_server(RST), END - 0.01)
        self.expect()

    def test_a_reset_with_another_sequence_than_the_true_one_is_injected(self):
        self.reset_w()
        self.run_dir.on_encryption("c", to_server(RST, sequence=9), END - 0.01)
        self.run_dir.passes("d", "w", to_server(RST), END - 0.01)
        self.expect(["injected"])

    def test_a_reset_of_the_true_peer_after_the_end_covers_no_leak(self):
        self.reset_w()
        self.run_dir.on_wire("w", "d", to_server(RST), END - 0.01)
        self.run_dir.passes("c", "w", to_server(RST, sequence=9), END + 0.5)
        self.expect(["injected"])

    def test_a_reset_without_effect_is_not_injected(self):
        self.run_dir.on_wire("w", "d", to_server(RST), END - 0.01)
        self.run_dir.passes("d", "w", to_server(RST), END - 0.01)
        self.expect()

    def test_a_forged_reset_beside_the_true_one_is_not_injected(self):
        self.reset_w()
        self.run_dir.on_wire("w", "d", to_server(RST, sequence=5), END - 0.02)
        self.run_dir.passes("c", "w", to_server(RST), END - 0.01)
        self.expect()

    def test_a_reset_that_no_packet_explains_is_blind(self):
        self.reset_w()
        self.run_dir.passes("c", "w", to_server(RST), END + 0.5)
        self.run_dir.passes("c", "w", to_server(ACK), END - 0.5)
        self.expect(blind=["no captured packet explains the ECONNRESET of w-7000"])

    def end_c(self):
        self.run_dir.events["c-7000"] = "%.3f connected\n%.3f eof\n%.3f end\n" % (START, END, END)

    def test_a_fin_in_clear_that_ends_a_stream_is_injected(self):
        self.end_c()
        self.run_dir.on_wire("c", "d", to_client(FIN | ACK), END - 0.01)
        leak, = self.expect(["injected"])
        self.assertIn("eof by TCP flags 0x11, which w did not encrypt", leak["first"])

    def test_a_fin_whose_decryption_is_captured_late_explains_an_end(self):
        self.end_c()
        self.run_dir.passes("w", "c", to_client(FIN | ACK), END + 0.1)
        self.expect()

    def test_a_fin_of_the_true_peer_is_not_injected(self):
        self.end_c()
        # Segmentation behind IPsec makes two segments of one.
        self.run_dir.on_encryption("w", to_client(FIN | ACK, b"first second"), END - 0.02)
        self.run_dir.on_decryption("c", to_client(ACK, b"first "), END - 0.01)
        self.run_dir.on_decryption("c", to_client(FIN | ACK, b"second", 7), END - 0.01)
        self.expect()

    # ---- devices

    def test_a_segment_in_clear_on_a_device_without_a_cable_is_a_leak(self):
        self.run_dir.on_device("w", to_client(ACK, b"secret"), ETHER, "router")
        leak, = self.expect(["clear"])
        self.assertEqual(leak["where"], "wire of w")

    def test_a_frame_that_a_scenario_forged_is_no_leak_of_the_host(self):
        self.run_dir.on_device("w", to_client(ACK, b"secret"), ETHER, "forger")
        self.expect()

    def test_a_segment_that_the_cable_has_shown_is_not_counted_twice(self):
        self.run_dir.on_wire("w", "w", to_client(ACK, b"secret"))
        self.run_dir.on_device("w", to_client(ACK, b"secret"), ETHER)
        leak, = self.expect(["clear"])
        self.assertEqual(leak["packets"], 1)

    def test_a_leak_of_a_host_without_a_cable_is_found_on_its_devices(self):
        self.run_dir.uncabled = ["w"]
        inside_host(self.run_dir, "w")
        self.run_dir.on_device("w", to_client(ACK, b"secret"), ETHER)
        self.expect(["clear"])

    def test_a_decrypted_segment_that_comes_in_at_a_device_is_no_leak(self):
        self.run_dir.on_device("c", to_client(ACK, SENT), ETHER, "w", outgoing=False)
        self.expect()

    def test_a_segment_to_another_host_on_lo_is_a_leak(self):
        self.run_dir.on_device("w", to_client(ACK, b"secret"), LOOPBACK, outgoing=False)
        leak, = self.expect(["clear"])
        self.assertEqual(leak["where"], "lo of w")

    def test_a_text_on_lo_is_a_leak(self):
        self.run_dir.on_device("w", udp(b"W-TO-C 01", W4, W4, (1, 2)), LOOPBACK, outgoing=False)
        self.expect(["clear"])

    def test_an_error_message_on_lo_that_quotes_a_segment_is_no_leak(self):
        body = b"\3\1\0\0\0\0\0\0" + to_client(ACK, b"W-TO-C 01")
        self.run_dir.on_device("w", ip(ICMP, body, W4, W4), LOOPBACK, outgoing=False)
        self.expect()

    def test_an_error_message_in_clear_that_quotes_a_segment_is_a_leak(self):
        body = b"\3\1\0\0\0\0\0\0" + to_client(ACK, b"W-TO-C 01")
        self.run_dir.on_wire("c", "c", ip(ICMP, body, C4, W4))
        self.expect(["clear"])

    def test_a_flow_within_one_host_on_lo_is_no_leak(self):
        self.run_dir.flows.append(("w-9", "w", "w", W4, 9, W4, 10, "W-TO-W", "-", "tcp"))
        self.run_dir.sent["w-9"], self.run_dir.received["w-9"] = b"", b""
        self.run_dir.on_decryption("w", tcp(ACK, b"", W4, W4, (10, 9)))
        self.run_dir.on_device("w", tcp(ACK, b"W-TO-W", W4, W4, (9, 10)), LOOPBACK, outgoing=False)
        self.run_dir.on_device("w", udp(b"W-TO-W", W4, W4, (1, 2)), LOOPBACK, outgoing=False)
        self.expect()

    def test_a_segment_on_an_xfrm_interface_of_its_ends_is_no_leak(self):
        self.run_dir.on_device("w", to_client(ACK, SENT), NONE)
        self.run_dir.on_device("c", to_client(ACK, SENT), NONE, outgoing=False)
        self.expect()

    def test_a_segment_that_comes_out_of_an_xfrm_interface_of_another_host_is_a_leak(self):
        self.run_dir.on_device("d", to_client(ACK, b"secret"), NONE, outgoing=False)
        leak, = self.expect(["decrypted"])
        self.assertEqual(leak["where"], "inner device of d")

    def test_a_segment_that_another_host_forges_on_its_xfrm_interface_is_no_leak(self):
        self.run_dir.on_device("d", to_server(ACK, b"forged"), NONE)
        self.expect()

    # ---- sight

    def test_a_capture_without_esp_is_blind(self):
        self.run_dir.frames["wire"]["w"] = []
        self.expect(blind=["no ESP was seen on the wire at w"])

    def test_esp_in_udp_counts_as_esp(self):
        self.run_dir.frames["wire"]["w"] = []
        self.run_dir.on_wire("w", "w", esp_in_udp())
        self.expect()

    def test_ike_and_keepalives_on_the_port_of_esp_do_not_count_as_esp(self):
        self.run_dir.frames["wire"]["w"] = []
        self.run_dir.on_wire("w", "w", ike())
        self.run_dir.on_wire("w", "w", keepalive())
        self.run_dir.on_wire("w", "w", udp(b"", ports=(4500, 4500)))
        self.expect(blind=["no ESP was seen on the wire at w"])

    def test_a_host_without_decrypted_packets_is_blind(self):
        self.run_dir.frames["clear"]["w"] = []
        self.expect(blind=["nothing of w-7000 (w to c) was seen decrypted at w"])

    def test_a_capture_with_losses_is_blind(self):
        self.run_dir.reports = {"wire-d": "3 packets dropped by kernel\n"}
        self.expect(blind=["capture wire-d lost 3 packets"])

    def test_a_capture_without_a_report_is_blind(self):
        self.run_dir.reports = {"clear-d": ""}
        self.expect(blind=["capture clear-d ended without a report"])

    def test_a_capture_that_does_not_exist_is_blind(self):
        self.run_dir.missing = {"sealed-c"}
        self.expect(blind=["capture sealed-c does not exist"])

    def test_a_capture_that_ends_within_a_packet_is_blind(self):
        self.run_dir.torn = {"wire-w"}
        self.expect(blind=["capture wire-w ends within a packet"])

    def test_a_capture_that_was_not_started_is_blind(self):
        self.run_dir.watched = ["w", "c", "d"]
        self.run_dir.unlisted = ["sealed-d"]
        self.expect(blind=["no capture sealed-d was started"])

    def test_what_the_harness_could_not_watch_is_blind(self):
        self.run_dir.lost_words = ["capture wire-w ended early"]
        self.expect(blind=["capture wire-w ended early"])

    def test_a_monitor_of_sas_that_fails_is_blind(self):
        self.run_dir.words = {"c": "netlink receive error No buffer space available\n"}
        self.expect(blind=["the monitor of the SAs of c failed: netlink receive error"])

    def test_a_host_that_was_not_watched_is_blind(self):
        self.run_dir.watched = ["w", "d"]
        self.run_dir.frames["wire"]["w"] = []
        self.run_dir.on_wire("w", "w", SA(SPI_WD).transport(tcp(ACK, b"other", ports=(22, C_PORT))))
        self.expect(blind=["c-7000 (c to w): its host c was not watched"])

    def test_a_run_without_hosts_is_blind(self):
        self.run_dir.watched = []
        self.run_dir.flows = []
        self.expect(blind=["no host was watched", "no application registered a flow"])

    def test_a_run_without_a_flow_is_blind(self):
        self.run_dir.flows = []
        self.expect(blind=["no application registered a flow"])

    def refuses(self, words):
        done = self.run_dir.ask()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(words, done.stderr)

    def test_a_flow_without_a_protocol_is_refused(self):
        self.run_dir.flows[1] = self.run_dir.flows[1][:9]
        self.refuses("apps/flows, line 2: 9 columns instead of 10")

    def test_a_flow_of_an_unknown_protocol_is_refused(self):
        self.run_dir.flows[1] = self.run_dir.flows[1][:9] + ("icmp",)
        self.refuses("flow w-7000: unknown protocol 'icmp'")

    def test_an_alias_of_no_flow_is_refused(self):
        self.run_dir.aliases = [("w-7009", W4, W_PORT, C4, C_PORT)]
        self.refuses("no flow has the tag w-7009")


if __name__ == "__main__":
    sys.exit(tap.main("oracle", OracleTest))
