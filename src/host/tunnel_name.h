/* What a tunnel is called where only plain names are taken: nftables' tables, files of the keeper's. */
#pragma once

/*
 * A name made of letters, digits and _ that no other instance has: other bytes become _XX, in hexadecimal; of a very
 * long one there is a hash. Returns out.
 */
#define TUNNEL_NAME_SIZE 96
const char *tunnel_name(const char *instance, char out[static TUNNEL_NAME_SIZE]);
