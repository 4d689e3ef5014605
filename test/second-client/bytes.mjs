/** Encoding, hashes, signatures, filters and commits of the small client. */
import { createHash, createPublicKey, randomBytes, sign, verify } from 'node:crypto'
import { Encoder } from 'cbor-x'

const cbor = new Encoder({ useRecords: false, variableMapSize: true, tagUint8Array: false })
const halfOrder = '7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8'
const dsaEncoding = 'ieee-p1363'

/** The code says why something is refused. */
export const check = (holds, code) => {
  if (!holds) throw Object.assign(new Error(code), { code })
}
export const hex = (bytes) => Buffer.from(bytes).toString('hex')
export const fromHex = (text) => Buffer.from(text, 'hex')
export const equal = (one, other) => Buffer.compare(one, other) === 0
export const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest()
export const encode = (value) => Buffer.from(cbor.encode(value))
export const decode = (bytes) => {
  const value = cbor.decode(bytes)
  check(equal(encode(value), bytes), 'NotCanonical')
  return value
}

/** What stands before the 65 bytes of a point in the usual form of a P-256 key (RFC 5480). */
const spki = fromHex('3059301306072a8648ce3d020106082a8648ce3d030107034200')
export const pointOf = (publicKey) => publicKey.export({ format: 'der', type: 'spki' }).subarray(spki.length)
const labelled = (label, hash) => Buffer.concat([Buffer.from(`weft/${label}/1\0`), hash])
const isLow = (signature) => hex(signature.subarray(32)) <= halfOrder
export const signAs = (label, key, hash) => {
  const signature = sign('sha256', labelled(label, hash), { key, dsaEncoding })
  return isLow(signature) ? signature : signAs(label, key, hash)
}
export const isSigned = (label, point, hash, signature) => {
  const key = createPublicKey({ key: Buffer.concat([spki, point]), format: 'der', type: 'spki' })
  return isLow(signature) && verify('sha256', labelled(label, hash), { key, dsaEncoding }, signature)
}

const positions = (salt, id, bits) => {
  const hash = sha256(salt, fromHex(id))
  return Array.from({ length: 7 }, (_, i) => (hash.readUInt32BE(0) + i * hash.readUInt32BE(4)) % (bits.length * 8))
}
export const makeFilter = (ids) => {
  const salt = randomBytes(16)
  const bits = Buffer.alloc(ids.length === 0 ? 0 : Math.max(8, Math.ceil((ids.length * 10) / 8)))
  for (const at of ids.flatMap((id) => positions(salt, id, bits))) bits[at >> 3] |= 1 << (at & 7)
  return [salt, ids.length, 7, bits]
}
export const hits = ([salt, , , bits], id) =>
  bits.length > 0 && positions(salt, id, bits).every((at) => (bits[at >> 3] >> (at & 7)) & 1)

export const changeHash = ([identity, operations, content]) =>
  sha256(sha256(identity), sha256(operations), Array.isArray(content) ? content[0] : sha256(content))
/** A commit whose hashes are right. Nothing else is looked at. */
export const readCommit = (record) => {
  const [header, signature, changes] = decode(record)
  const [format, network, path, session, incarnation, seq, prev, clock, policy, , hashes] = decode(header)
  check(format === 1, 'UnknownFormat')
  check(changes.length === hashes.length && changes.every((one, i) => equal(changeHash(one), hashes[i])), 'BadHash')
  const edits = changes.map(([identity, operations, content]) => {
    const [item, parents] = decode(identity)
    const values = Array.isArray(content) ? undefined : decode(content)[1]
    return { item, parents: parents.map(hex), operations: decode(operations), values }
  })
  const names = { id: hex(sha256(header)), session: hex(session), chain: hex(session) + hex(incarnation) }
  return { record, network, path, ...names, seq, prev: prev && hex(prev), clock, policy, signature, edits }
}
