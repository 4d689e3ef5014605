#!/bin/sh
# Makes the files here from a checkout of https://github.com/C2SP/wycheproof, whose folder is the argument. Needs jq.
set -eu
from=$1/testvectors_v1
cd "$(dirname "$0")"
notice='"notice":"Shortened from Project Wycheproof, Apache License 2.0; see README.md"'

# Signatures: of each test what it says, of each group the key.
for name in ecdsa_secp256r1_sha256_p1363_test ecdsa_secp256r1_sha256_test; do
  jq -r --arg notice "$notice" '
    [.testGroups[]
      | ([.tests[] | {tcId, comment, msg, sig, result} | tojson] | join(",\n")) as $tests
      | "{\"publicKey\":\(.publicKey.uncompressed | tojson),\"tests\":[\n\($tests)\n]}"
    ] | join(",\n") | "{\($notice),\"testGroups\":[\n\(.)\n]}"
  ' "$from/$name.json" >"$name.json"
done

# Points: those that are not plainly valid.
name=ecdh_secp256r1_ecpoint_test
jq -r --arg notice "$notice" '
  [.testGroups[].tests[] | select(.result != "valid") | {tcId, comment, public, result} | tojson]
  | join(",\n") | "{\($notice),\"tests\":[\n\(.)\n]}"
' "$from/$name.json" >"$name.json"
