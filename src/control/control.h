/*
 * The local API of a running tunnel: a UNIX stream socket, mode 0600, that root and the daemon's
 * own user may use. A client sends one line of at most CONTROL_REQUEST_MAX bytes and gets one JSON
 * document, after which the daemon closes the connection:
 *
 *   status   the document below
 *   down     {"ok": true}; the tunnel then goes down
 *   other    {"error": "..."}: what is wrong, for a person
 *
 * The status document. Ages and spans are whole seconds, null where the thing has not happened;
 * texts that name primitives are for people.
 *
 *   { "version": "0.1.0", "interface": "snk0", "mtu": 1420, "listen_port": 10666,
 *     "key_id": "44 characters", "algorithm": "ML-DSA-65", "uptime_s": 12,
 *     "peers": [ {
 *       "name": "laptop", "key_id": "...", "endpoint": "192.0.2.1:10666" or null, "allowed_ips": ["10.66.0.2/32"],
 *       "state": "established" or "connecting" or "idle", "last_handshake_s": 3 or null,
 *       "protection": "post-quantum" (how the session is protected, in a word), "kem": "ML-KEM-1024 + X25519",
 *       "signature_local": "ML-DSA-65", "signature_peer": "ML-DSA-87" or null, "cipher": "AES-256-GCM" or null,
 *       "preshared_key": false, "path_mtu": 1500 or null, "epoch": 0,
 *       "rx_bytes": 0, "tx_bytes": 0, "rx_packets": 0, "tx_packets": 0, "last_receive_s": 1 or null,
 *       "reject_reason": "..." or null } ],
 *     "drops": { "reason": count, ... },          all reasons, also those that are zero
 *     "handshakes": { "counter": count, ... } }
 */
#pragma once

#include "control/client.h"
#include "control/server.h"
