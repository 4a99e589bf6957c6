# What the gateway may do in Vault, and nothing else. Keep the lines that its files use, with your own names.
# The `default` policy, which every token has, lets it look up, renew and revoke its own token and renew its leases.

# Key/value, version 2: its own secrets, read only.
path "secret/data/gateway/*" {
  capabilities = ["read"]
}

# Key/value, version 1.
path "kv/gateway/*" {
  capabilities = ["read"]
}

# Credentials that are made when they are read, and lent.
path "database/creds/gateway" {
  capabilities = ["read"]
}

# What was lent is given back when the gateway stops. Renewing needs no rule of its own.
path "sys/leases/revoke" {
  capabilities = ["update"]
}

# Certificates by signing requests: `pki/issue`, which would make Vault send private keys, is left out on purpose.
path "pki/sign/gateway" {
  capabilities = ["create", "update"]
}

# Signatures of audit checkpoints, and the public key that they are checked by at the start.
path "transit/sign/gateway-audit" {
  capabilities = ["create", "update"]
}
path "transit/keys/gateway-audit" {
  capabilities = ["read"]
}
