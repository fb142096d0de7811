/*
 * An end of OTPTunnel at work: its key file and ledger, the thread that looks after both, and the carrier that takes
 * frames from the TAP to the network and back. It knows where the peer is: as it is told, or from where its frames
 * come.
 */
#pragma once

#include "compat/carrier.h"
#include "compat/otp_pad.h"

struct otp_link;

struct otp_link_config {
	const char *key_file,
		*folder;  /* of ledgers; made (0700) when it is not there. Both borrowed for otp_link_new */
	bool allows_weak; /* a key file that looks constant is taken */
	struct otp_pad_options pad;
	struct addr
		peer; /* where frames go, and its ip where they must come from; port 0: whoever sends authentic ones */
};

/* Opens and locks the key file and its ledger, and has the first key bytes in memory. Faults as pad_file_open's and
 * otp_pad_new's. */
enum err otp_link_new(struct otp_link **ret, const struct otp_link_config *config, struct fault *fault);
/* Carries frames between both, which stay the caller's; event_fd as carrier_config's. ERR_NOMEM, ERR_IO. */
enum err otp_link_start(struct otp_link *link, struct tun *tun, struct udp *udp, int event_fd, struct fault *fault);
/* Stops, records exactly how far the key file was used, wipes. NULL is fine. */
void otp_link_free(struct otp_link *link);

struct carrier *otp_link_carrier(const struct otp_link *link); /* NULL before otp_link_start */
struct otp_pad *otp_link_pad(const struct otp_link *link);
uint64_t otp_link_size(const struct otp_link *link);   /* of the key file */
bool otp_link_is_exposed(const struct otp_link *link); /* others may read or change the key file */
/* An Ethernet address for the end, the same with every start, so that the peer's neighbour tables stay right.
 * ERR_CRYPTO, then zeros. */
enum err otp_link_mac(const struct otp_link *link, uint8_t ret[static 6]);
/* False: not known yet. */
bool otp_link_peer(struct otp_link *link, struct addr *ret);

/* Datagrams that came from another address than the peer's. */
uint64_t otp_link_foreign(const struct otp_link *link);

/* One line of counters, for people; returns out. */
#define OTP_LINK_TEXT_LEN 768
const char *otp_link_text(struct otp_link *link, char out[static OTP_LINK_TEXT_LEN]);
