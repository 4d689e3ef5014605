import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { concatBytes, encodeUtf8, toHex } from '../bytes/bytes.ts'
import { decode, encode, type Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal } from '../bytes/refusal.ts'
import { signedBytes } from '../commit/commit.ts'
import { type CertificateBody, encodeCertificate, readCertificate } from './certificate.ts'
import { type EntryBody, encodeEntry, noNetwork, readEntry, rootPath } from './entry.ts'
import { messageOf, sealBody } from './signed.ts'

const hash = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const signature = new Uint8Array(64).fill(9)
const publicKey = new Uint8Array(65).fill(4)
const hex = (digit: string, bytes = 32) => digit.repeat(2 * bytes)

const certificate: CertificateBody = {
  network: hex('1'),
  publicKey,
  owner: 'mail:ada@example.org',
  name: 'Ada',
  issued: 1_700_000_000_000,
  expires: 1_700_000_000_000 + limits.certificateLife,
  number: 2,
  signer: hex('3'),
}

const root = { epoch: 0, n: 0, hash: hex('4') }
const inRepository = {
  network: hex('1'),
  log: '/board/roadmap',
  epoch: 0,
  n: 4,
  prev: hex('5'),
  root,
  time: 1_700_000_000_000,
  signer: hex('3'),
}
const inRoot = { ...inRepository, log: rootPath, root: null }
const entries: Record<string, EntryBody> = {
  genesis: {
    ...inRepository,
    network: noNetwork,
    log: rootPath,
    n: 0,
    prev: null,
    root: null,
    signer: toHex(hash(publicKey)),
    statement: { kind: 'genesis', publicKey, name: new Uint8Array(16) },
  },
  checkpoint: {
    ...inRepository,
    statement: {
      kind: 'checkpoint',
      headsRoot: hex('6'),
      stateRoot: hex('7'),
      moved: [{ chain: hex('8', 40), seq: 70_000, id: hex('9') }],
    },
  },
  first: {
    ...inRepository,
    n: 0,
    prev: null,
    statement: { kind: 'checkpoint', headsRoot: hex('6'), stateRoot: null, moved: [] },
  },
  verdict: {
    ...inRepository,
    statement: { kind: 'verdict', commit: hex('a'), key: 'item', code: 'Voided', rule: '/board/:id', reason: 'spam' },
  },
  'verdict on all': {
    ...inRepository,
    statement: { kind: 'verdict', commit: hex('a'), key: null, code: 'Voided', rule: '', reason: '' },
  },
  grant: {
    ...inRepository,
    statement: { kind: 'grant', owner: 'b', role: 'editor', by: 'a', fences: true, founding: false },
  },
  'grant to a guest': {
    ...inRepository,
    statement: {
      kind: 'grant',
      owner: 'b',
      role: 'editor',
      by: 'a',
      fences: false,
      founding: false,
      invitation: hex('7'),
    },
  },
  'grant that takes': {
    ...inRepository,
    statement: { kind: 'grant', owner: 'b', role: null, by: null, fences: false, founding: false },
  },
  founding: {
    ...inRepository,
    n: 0,
    prev: null,
    statement: { kind: 'grant', owner: 'a', role: 'owner', by: null, fences: false, founding: true },
  },
  revocation: {
    ...inRoot,
    statement: { kind: 'revocation', subject: { session: hex('b') }, reason: 'a lost phone' },
  },
  "revocation of an owner's sessions": {
    ...inRoot,
    statement: { kind: 'revocation', subject: { owner: 'b' }, reason: '' },
  },
  invitation: {
    ...inRepository,
    statement: { kind: 'invitation', secret: hex('c'), role: 'viewer', expires: 9, uses: 2, by: 'a' },
  },
  erasure: {
    ...inRepository,
    statement: {
      kind: 'erasure',
      changes: [{ commit: hex('a'), key: 'item' }],
      dead: [{ commit: hex('b'), key: 'item' }],
      by: 'a',
      reason: 'asked for',
    },
  },
  key: { ...inRoot, statement: { kind: 'key', publicKey } },
  retirement: { ...inRoot, statement: { kind: 'retirement', signer: hex('3') } },
  rules: { ...inRoot, statement: { kind: 'rules', version: 3 } },
}

const entryNamed = (name: string): EntryBody => {
  const body = entries[name]
  if (body === undefined) throw new Error(`no entry ${name}`)
  return body
}

const sealed = (body: Uint8Array) => sealBody(body, signature, hash).bytes
const listOf = (bytes: Uint8Array): Plain[] => {
  const plain = decode(bytes)
  if (isRefusal(plain) || !Array.isArray(plain)) throw new Error('not a list')
  return [...plain]
}
type Read = (bytes: Uint8Array) => { readonly id: string } | Refusal
const readers: [string, Uint8Array, Read][] = [
  ['certificate', encodeCertificate(certificate), (bytes) => readCertificate(bytes, hash)],
  ...Object.entries(entries).map(([name, body]): [string, Uint8Array, Read] => [
    name,
    encodeEntry(body),
    (bytes) => readEntry(bytes, hash),
  ]),
]

test('a certificate and every entry are read as they were made', () => {
  expect(readCertificate(sealed(encodeCertificate(certificate)), hash)).toMatchObject({
    ...certificate,
    signature,
    session: toHex(hash(concatBytes(hash(publicKey), hash(encodeUtf8(certificate.owner))))),
  })
  for (const body of Object.values(entries))
    expect(readEntry(sealed(encodeEntry(body)), hash)).toMatchObject({ ...body, signature })
})

test.each(readers)('%s: with any field replaced it is refused or is another', (_, body, read) => {
  const fields = listOf(body)
  const id = toHex(hash(body))
  const others: Plain[] = [
    null,
    true,
    -1,
    0,
    1,
    2,
    0.5,
    2 ** 32,
    2 ** 53,
    1e300,
    '',
    'x',
    'ä'.repeat(129),
    [],
    [0, 0, new Uint8Array(32)],
    new Map(),
    ...[0, 16, 32, 64, 65].map((length) => new Uint8Array(length)),
  ]
  expect(isRefusal(read(sealed(body)))).toBe(false)
  for (const at of fields.keys()) {
    for (const other of others) {
      const changed = encode(fields.with(at, other))
      const answer = read(sealed(changed))
      if (toHex(changed) !== toHex(body) && !isRefusal(answer)) expect(answer.id).not.toBe(id)
    }
    // One of another type is none at all.
    expect(isRefusal(read(sealed(encode(fields.with(at, new Map())))))).toBe(true)
  }
  expect(isRefusal(read(sealed(encode(fields.slice(0, -1)))))).toBe(true)
  expect(isRefusal(read(sealed(encode([...fields, 0]))))).toBe(true)
})

test.each(readers)(
  '%s: with any bit flipped it is refused, is another, or is signed otherwise, and nothing throws',
  (_, body, read) => {
    const bytes = sealed(body)
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const flipped = bytes.slice()
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const answer = read(flipped)
      if (isRefusal(answer) || answer.id !== toHex(hash(body))) continue
      expect(toHex(flipped.subarray(-64))).not.toBe(toHex(signature))
    }
    for (let length = 0; length < bytes.length; length += 7)
      expect(isRefusal(read(bytes.subarray(0, length)))).toBe(true)
  },
)

describe('a certificate', () => {
  const codeOf = (change: Partial<CertificateBody>) => {
    const read = readCertificate(sealed(encodeCertificate({ ...certificate, ...change })), hash)
    return isRefusal(read) ? read.code : 'read'
  }
  test.each<[string, Partial<CertificateBody>, string]>([
    ['lives thirty days', {}, 'read'],
    ['lives no longer', { expires: certificate.expires + 1 }, 'Malformed'],
    ['expires after it was issued', { expires: certificate.issued }, 'Malformed'],
    ['has times that are numbers', { issued: 2 ** 60, expires: 2 ** 60 + 4096 }, 'Malformed'],
    ['names an owner', { owner: '' }, 'Malformed'],
    ['has a name', { name: '' }, 'Malformed'],
    ['has a name of 128 bytes', { name: 'ä'.repeat(64) }, 'read'],
    ['has no longer name', { name: 'ä'.repeat(65) }, 'Malformed'],
    ['has an uncompressed key', { publicKey: new Uint8Array(65).fill(2) }, 'Malformed'],
  ])('%s', (_, change, code) => {
    expect(codeOf(change)).toBe(code)
  })
})

describe('an entry', () => {
  const codeOf = (change: Partial<EntryBody>, of = 'checkpoint') => {
    const read = readEntry(sealed(encodeEntry({ ...entryNamed(of), ...change })), hash)
    return isRefusal(read) ? read.code : 'read'
  }
  test.each<[string, Partial<EntryBody>, string | undefined]>([
    ['a genesis at a later place, by which a stranger would add his key', { n: 1, prev: hex('5') }, 'genesis'],
    ['a genesis of a later epoch', { epoch: 1 }, 'genesis'],
    ["a genesis in a repository's log", { log: '/board/roadmap', root }, 'genesis'],
    ['a genesis that names a network', { network: hex('1') }, 'genesis'],
    ['a genesis signed by another than it names', { signer: hex('3') }, 'genesis'],
    ['a root log that begins with something else', { log: rootPath, root: null, n: 0, prev: null }, undefined],
    ["a repository's entry without a root position", { root: null }, undefined],
    ['a root entry with one', { log: rootPath }, undefined],
    ['a first entry with one before', { n: 0 }, undefined],
    ['a later entry with none before', { prev: null }, undefined],
    ['a time that is no number of milliseconds', { time: 2 ** 60 }, undefined],
    ['a grant in the root log', inRoot, 'grant'],
    ['a checkpoint in the root log', inRoot, 'checkpoint'],
    ["a key in a repository's log", inRepository, 'key'],
    ["a revocation in a repository's log", inRepository, 'revocation'],
    ['a founding behind other entries', { n: 4, prev: hex('5') }, 'founding'],
  ])('is not %s', (_, change, of) => {
    expect(codeOf(change, of)).toBe('Malformed')
  })

  test('of a kind that is not known keeps its place', () => {
    const fields = listOf(encodeEntry(entryNamed('verdict')))
    const read = readEntry(sealed(encode(fields.with(9, 77).with(10, 'whatever'))), hash)
    expect(isRefusal(read) ? read : [read.statement, read.n]).toEqual([{ kind: 'unknown' }, 4])
  })

  test('of a later format says so', () => {
    const read = readEntry(sealed(encode(listOf(encodeEntry(entryNamed('verdict'))).with(0, 2))), hash)
    expect(isRefusal(read) && read.code).toBe('UnknownFormat')
  })

  test('names at most 8,192 chains', () => {
    const moved = (count: number) =>
      Array.from({ length: count }, (_, seq) => ({ chain: hex('8', 40), seq, id: hex('9') }))
    const of = (count: number) =>
      codeOf({ statement: { kind: 'checkpoint', headsRoot: hex('6'), stateRoot: null, moved: moved(count) } })
    expect([of(limits.headsPerMessage), of(limits.headsPerMessage + 1)]).toEqual(['read', 'Malformed'])
  })
})

test('what is signed for one kind of bytes is never what is signed for another', () => {
  // The same body everywhere, and a commit whose id is the body's hash.
  const body = encodeEntry({
    ...inRepository,
    statement: { kind: 'checkpoint', headsRoot: hex('6'), stateRoot: null, moved: [] },
  })
  const messages = [
    signedBytes(toHex(hash(body))),
    messageOf('entry', body, hash),
    messageOf('certificate', body, hash),
    messageOf('proof', body, hash),
  ].map((bytes) => [...bytes])
  for (const [index, message] of messages.entries()) {
    for (const other of messages.slice(index + 1)) {
      // Apart within the domains, each of which ends at its zero byte and holds no other: no message begins like another.
      const [one, two] = [message.indexOf(0), other.indexOf(0)]
      expect(message.slice(0, one + 1)).not.toEqual(other.slice(0, two + 1))
      expect(message.length - one).toBe(33)
    }
  }
})
