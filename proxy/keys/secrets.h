/* secrets.h - key bytes, for this module alone.  Other modules never see any. */
#ifndef PROXY_KEYS_SECRETS_H
#define PROXY_KEYS_SECRETS_H

#include "keys/keyring.h"

#define SUBKEY_LEN 32u

/* Borrowed from the master key. */
const uint8_t *master_key_encryption_key(const struct master *m); /* MASTER_LEN */
const uint8_t *master_sessions_subkey(const struct master *m);    /* SUBKEY_LEN */
const uint8_t *master_vault_mac_subkey(const struct master *m);   /* SUBKEY_LEN */

/* Borrowed from the keyring, once it is built; AEAD_KEY_LEN. */
const uint8_t *keyring_secret(const struct keyring *k, int key);

#endif
