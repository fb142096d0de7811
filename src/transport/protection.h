/* What a link's secrecy and authenticity rest on (docs/protocol.md, "One-time pads"). Configuration, never negotiated.
 */
#pragma once

enum protection {
	PROTECTION_PQ,     /* an AEAD, with keys of the handshake */
	PROTECTION_OTP,    /* the pad alone */
	PROTECTION_PQ_OTP, /* both: frames masked by the pad inside the AEAD */
};
