/* Why something was dropped: one list, counted per lane, shown by `jorm status`. */
#pragma once

#define DROP_LIST(X)                                                                                                   \
	X(NO_ROUTE, "no_route", "packet for an address that no peer has, or for all while there is nobody")            \
	X(BAD_PACKET, "bad_packet", "packet from the host that is no sound IP packet or Ethernet frame")               \
	X(NO_SESSION, "no_session", "packet for a peer without a session, and its queue was full")                     \
	X(UNPROVEN_PATH, "unproven_path", "more than three times what a new address has sent")                         \
	X(SEND, "send_failed", "datagram that the kernel refused to send")                                             \
	X(TOO_BIG, "too_big", "datagram larger than the outgoing interface takes")                                     \
	X(UNKNOWN_TYPE, "unknown_type", "datagram that is none of ours")                                               \
	X(UNKNOWN_INDEX, "unknown_index", "datagram for a session that does not exist")                                \
	X(FORGED, "forged", "datagram that failed authentication")                                                     \
	X(REPLAY, "replay", "datagram seen before, or too old")                                                        \
	X(BAD_FRAME, "bad_frame", "authentic datagram with a malformed frame")                                         \
	X(BAD_SOURCE, "bad_source", "packet from an address that is not its peer's")                                   \
	X(BETWEEN_PEERS, "between_peers", "packet from one peer to another, which ClientToClient forbids")             \
	X(LAYER, "other_layer", "IP packet or Ethernet frame from a peer, where the tunnel carries the other")         \
	X(BAD_MAC, "bad_mac", "frame from a peer with a source that no station has, or with this host's own")          \
	X(MAC_TAKEN, "mac_taken", "frame from a peer with a source that was heard elsewhere just before")             \
	X(LINK_LOCAL, "link_local", "frame for a group that bridges do not pass on")                                   \
	X(SAME_SIDE, "same_side", "frame for a station on the side that it came from")                                 \
	X(FLOOD, "flood_limit", "broadcast, multicast or frame for an unknown station, over its sender's limit")       \
	X(BAD_INNER, "bad_inner", "packet from a peer that lies about its lengths or checksum")                        \
	X(FRAGMENT, "fragment", "part of a packet that contradicts the others, or twice")                              \
	X(EXPIRED_KEYS, "expired_keys", "frame that old keys may not carry")                                           \
	X(WRITE, "tunnel_write", "packet that the tunnel's interface refused")                                         \
	X(BUSY, "busy", "message for the control thread while its queue was full")                                     \
	X(HANDSHAKE_FORMAT, "handshake_format", "malformed handshake datagram")                                        \
	X(HANDSHAKE_AUTH, "handshake_auth", "handshake datagram that failed a check")                                  \
	X(HANDSHAKE_LIMIT, "handshake_limit", "handshake datagram over a rate or memory limit")                        \
	X(HANDSHAKE_UNKNOWN, "handshake_unknown", "handshake datagram for no handshake under way")                     \
	X(PAD_WAITS, "pad_waits", "packet for which the pad was not ready: its disk is slower, or the peer's credit is awaited") \
	X(PAD_USED_UP, "pad_used_up", "packet for which there is no pad any more")                                     \
	X(MEMORY, "memory", "no memory")

enum drop {
#define X(name, text, help) DROP_##name,
	DROP_LIST(X)
#undef X
		DROP_COUNT
};

/* The name that status shows. */
const char *drop_name(enum drop drop);
