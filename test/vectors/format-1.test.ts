/**
 * Format 1 as it was written: today's code reads these bytes, makes the same of them, and makes the same bytes again. The files are never
 * made anew. A new format version gets files of its own beside them; what is added to format 1 without changing it (a statement,
 * a message) is added as a new line, its bytes taken from the failure of the test that names it.
 */
import { createHash, createPublicKey, verify } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { decode, encode } from '../../packages/engine/src/bytes/cbor.ts'
import type { Plain } from '../../packages/engine/src/bytes/plain.ts'
import { isRefusal, type Refusal } from '../../packages/engine/src/bytes/refusal.ts'
import {
  type Commit,
  composeCommit,
  readCommit,
  sealCommit,
  sessionId,
  signedBytes,
} from '../../packages/engine/src/commit/commit.ts'
import { PackReader } from '../../packages/engine/src/commit/packreader.ts'
import { PackWriter } from '../../packages/engine/src/commit/packwriter.ts'
import { Commits } from '../../packages/engine/src/graph/commits.ts'
import { encodeFrame as encodeLogFrame, frameKinds, scan } from '../../packages/engine/src/log/frame.ts'
import { PackedLogReader, PackedLogWriter } from '../../packages/engine/src/log/packedlog.ts'
import { MergedItem } from '../../packages/engine/src/merge/item.ts'
import type { ItemState } from '../../packages/engine/src/merge/state.ts'
import {
  type Announcement,
  decodeAnnouncement,
  encodeAnnouncement,
} from '../../packages/engine/src/mesh/announcement.ts'
import {
  decodePresence,
  encodePresence,
  type Gone,
  type Present,
  presenceBody,
} from '../../packages/engine/src/mesh/presence.ts'
import { encodeSignalBody, readSignal, type SignalBody, sealSignal } from '../../packages/engine/src/mesh/signal.ts'
import { decodeFrame, encodeFrame, type Frame } from '../../packages/engine/src/replica/wire.ts'
import { decodeMessage, encodeMessage, type Message, type PackedPush } from '../../packages/engine/src/sync/message.ts'
import { decodeRecalling, encodeRecalling, type Recalling } from '../../packages/engine/src/sync/recall.ts'
import { AuthorityLog } from '../../packages/engine/src/trust/authoritylog.ts'
import {
  type CertificateBody,
  encodeCertificate,
  readCertificate,
} from '../../packages/engine/src/trust/certificate.ts'
import { type EntryBody, encodeEntry, readEntry } from '../../packages/engine/src/trust/entry.ts'
import { messageOf, type SignedKind, sealBody } from '../../packages/engine/src/trust/signed.ts'
import vectors from './format-1.json' with { type: 'json' }
import { jsonOf, plainOf, schemas } from './written.ts'

const hash = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest())
const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const good = <Value extends object>(value: Value | Refusal): Value => {
  if (isRefusal(value)) throw new Error(`${value.code} ${value.about}`)
  return value
}

/** An uncompressed P-256 point as SubjectPublicKeyInfo. */
const spki = (point: string) =>
  createPublicKey({
    key: Buffer.from(`3059301306072a8648ce3d020106082a8648ce3d030107034200${point}`, 'hex'),
    format: 'der',
    type: 'spki',
  })
const isSigned = (point: string, message: Uint8Array, signature: Uint8Array): boolean =>
  verify('sha256', message, { key: spki(point), dsaEncoding: 'ieee-p1363' }, signature)

const withoutBytes = ({ bytes: _, ...rest }: Commit): unknown => jsonOf(rest)
const commits = vectors.commits.map(({ bytes }) => good(readCommit(fromHex(bytes), hash)))

describe('commits', () => {
  test.each(vectors.commits)('$name', ({ bytes, read, salts, ids }) => {
    const commit = good(readCommit(fromHex(bytes), hash))
    expect(withoutBytes(commit)).toEqual(read)
    expect(commit.id).toBe(ids.commit)
    expect(isSigned(vectors.keys.session, signedBytes(commit.id), commit.signature)).toBe(true)
    const drafts = commit.changes.map((change, index) => ({ ...change, salt: fromHex(salts[index] ?? '') }))
    expect(toHex(sealCommit(composeCommit(commit, drafts, hash), commit.signature).bytes)).toBe(bytes)
  })

  test('one with its content erased has the same id and signature', () => {
    const { of, bytes, read } = vectors.erased
    const erased = good(readCommit(fromHex(bytes), hash))
    expect(withoutBytes(erased)).toEqual(read)
    const whole = commits.find(({ id }) => id === of)
    expect([erased.id, whole && toHex(whole.signature)]).toEqual([of, toHex(erased.signature)])
  })

  test('one with something unknown in ext is kept', () => {
    const extended = good(readCommit(fromHex(vectors.extended.bytes), hash))
    expect([extended.extended, extended.id]).toEqual([true, vectors.extended.id])
    expect(isSigned(vectors.keys.session, signedBytes(extended.id), extended.signature)).toBe(true)
  })

  test('all are admitted in their order', () => {
    const held = new Commits()
    for (const commit of commits) {
      expect(held.check(commit)).toBe(undefined)
      held.stage(commit)
    }
  })
})

/** A value without node numbers, sorted. */
const plainly = (item: MergedItem, state: ItemState): unknown => ({
  presence: state.presence.map((index) => item.graph.node(index).id).sort(),
  fields: Object.fromEntries(
    [...state.fields]
      .map(([name, field]): [string, unknown] => {
        if (field.kind === 'register') return [name, [field.value, field.stamp.clock, field.stamp.id]]
        if (field.kind === 'elements') return [name, [...field.byTag].sort(([a], [b]) => (a < b ? -1 : 1))]
        if (field.kind === 'text') return [name, field.rope.toString()]
        const puts = [...field.byKey].flatMap(([key, entries]) => entries.map(({ tag, value }) => [key, tag, value]))
        return [name, puts.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))]
      })
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  ),
})

/** `erasedAt`: where what `vectors.erased` holds was erased. */
const itemOf = (key: string, erasedAt?: number): MergedItem => {
  const item = new MergedItem(key, schemas.thing)
  const stripped = good(readCommit(fromHex(vectors.erased.bytes), hash))
  for (const commit of commits) {
    const isErased = erasedAt !== undefined && commit.id === stripped.id
    const { id, clock, policy, changes } = isErased ? stripped : commit
    for (const change of changes) {
      if (change.key !== key) continue
      const parents = change.parents.map((parent) => item.graph.indexOf(parent) ?? -1)
      const seen = policy.authority?.n ?? -1
      const erased = isErased ? erasedAt : undefined
      item.count({ id, clock, parents, operations: change.operations, seen, erased, settled: erasedAt !== undefined })
    }
  }
  return item
}

describe('items', () => {
  test.each(vectors.items)('$name', ({ key, voided, value }) => {
    const item = itemOf(key)
    for (const { id, position } of voided) item.void(item.graph.indexOf(id) ?? -1, position)
    expect(plainly(item, item.value())).toEqual(value)
  })
})

describe('items with erased content', () => {
  test.each(vectors.erasures)('$name', ({ key, position, value }) => {
    const item = itemOf(key, position)
    expect(plainly(item, item.value())).toEqual(value)
  })
})

describe('what the authority signs', () => {
  const checkSigned = (
    kind: SignedKind,
    signed: { body: Uint8Array; signature: Uint8Array },
    key = vectors.keys.authority,
  ) => expect(isSigned(key, messageOf(kind, signed.body, hash), signed.signature)).toBe(true)

  test('a certificate', () => {
    const { bytes, read } = vectors.certificate
    const certificate = good(readCertificate(fromHex(bytes), hash))
    const { bytes: _, body, ...rest } = certificate
    expect(jsonOf(rest)).toEqual(read)
    expect(toHex(encodeCertificate(plainOf(read) as CertificateBody))).toBe(toHex(body))
    checkSigned('certificate', certificate, vectors.keys.certifier)
    expect(certificate.session).toBe(sessionId(certificate.publicKey, certificate.owner, hash))
  })

  test.each(vectors.entries)('the entry $name', ({ bytes, read }) => {
    const entry = good(readEntry(fromHex(bytes), hash))
    const { bytes: _, body, ...rest } = entry
    expect(jsonOf(rest)).toEqual(read)
    expect(toHex(encodeEntry(plainOf(read) as EntryBody))).toBe(toHex(body))
    checkSigned('entry', entry)
  })

  test.each(vectors.statements)('the statement $name', ({ bytes, body }) => {
    expect(toHex(encodeEntry(plainOf(body) as EntryBody))).toBe(bytes)
    const entry = good(readEntry(sealBody(fromHex(bytes), new Uint8Array(64), hash).bytes, hash))
    expect(entry).toMatchObject(plainOf(body) as EntryBody)
  })

  test('entries stand in their logs in this order, and the first makes the network', () => {
    const [genesis, ...others] = vectors.entries.map(({ bytes }) => good(readEntry(fromHex(bytes), hash)))
    expect(genesis?.id).toBe(commits[0]?.network)
    const logs = new Map<string, AuthorityLog>()
    for (const entry of [...(genesis ? [genesis] : []), ...others]) {
      const log = logs.get(entry.log) ?? new AuthorityLog(entry.log)
      logs.set(entry.log, log)
      expect(log.check(entry, hash)).toBe(undefined)
      log.append(entry)
    }
    for (const { policy } of commits) {
      expect(logs.get('/sys')?.knows(policy.root)).toBe(true)
      expect(logs.get('/board/roadmap')?.knows(policy.authority)).toBe(true)
    }
  })
})

describe('definitions', () => {
  test.each(vectors.definitions)('$name', ({ name, definition, sha256 }) => {
    const found = Object.values(schemas).find((one) => one.name === name)
    expect(found && toHex(found.definition)).toBe(definition)
    expect(toHex(hash(fromHex(definition)))).toBe(sha256)
  })
})

describe('the log', () => {
  test.each(vectors.log)('a frame of $name', ({ kind, payload, bytes }) => {
    expect(toHex(encodeLogFrame(kind, fromHex(payload)))).toBe(bytes)
    const { frames, damage, torn } = scan(fromHex(bytes))
    expect(frames.map((frame) => [frame.kind, toHex(frame.payload)])).toEqual([[kind, payload]])
    expect([damage, torn]).toEqual([[], false])
  })
})

test('packs, one after the other, hold their records byte for byte', () => {
  for (const { packs, ...context } of vectors.packs) {
    const writer = new PackWriter(context)
    const reader = new PackReader(context, hash, { commits: 100, bytes: 1_000_000 })
    for (const { records, bytes } of packs) {
      const commits = records.map((record) => good(readCommit(fromHex(record), hash)))
      expect(toHex(writer.pack(commits))).toBe(bytes)
      expect(good(reader.unpack(fromHex(bytes))).map((record) => toHex(record.bytes))).toEqual(records)
    }
  }
})

test('packs in a log, one frame after the other, hold their records byte for byte', () => {
  const { appends, ...context } = vectors.packedLog
  const writer = new PackedLogWriter(context)
  const reader = new PackedLogReader(hash)
  for (const { name, anew, records, payloads } of appends) {
    if (anew) writer.reset()
    const commits = records.map((record) => ({
      id: toHex(hash(plainHeader(fromHex(record)))),
      bytes: fromHex(record),
    }))
    expect(
      writer.write(commits).map(({ kind, payload }) => [kind, toHex(payload)]),
      name,
    ).toEqual(payloads.map((payload) => [frameKinds.pack, payload]))
    const frames = payloads.flatMap((payload) => scan(encodeLogFrame(frameKinds.pack, fromHex(payload))).frames)
    const found = frames.flatMap((frame) => good(reader.records(frame)))
    expect(found.map(toHex), name).toEqual(records)
  }
  const firsts = appends.map(({ payloads: [payload] }) => payload?.slice(0, 2))
  expect(firsts).toEqual(['03', '02', '02', '82', '03', '83'])
})

/** The header of a record, which may have no signature. */
const plainHeader = (record: Uint8Array): Uint8Array => {
  const plain = decode(record)
  const [header] = Array.isArray(plain) ? plain : []
  if (!(header instanceof Uint8Array)) throw new Error('no record')
  return header
}

describe('the wire', () => {
  test.each(vectors.messages)('message $name', ({ message, bytes }) => {
    expect(toHex(encode(encodeMessage(plainOf(message) as Message | PackedPush)))).toBe(bytes)
    expect(jsonOf(good(decodeMessage(decoded(bytes))))).toEqual(message)
  })

  test.each(vectors.recalls)('message $name', ({ message, bytes }) => {
    expect(toHex(encode(encodeRecalling(message as Recalling)))).toBe(bytes)
    expect(decodeRecalling(decoded(bytes))).toEqual(message)
  })

  test.each(vectors.frames)('frame $name', ({ number, frame, bytes }) => {
    expect(toHex(encodeFrame(number, plainOf(frame) as Frame))).toBe(bytes)
    // A frame of the kind `refused` looks like a refusal, so it is not asked whether it is one.
    expect(jsonOf(decodeFrame(fromHex(bytes), number))).toEqual(frame)
  })

  test.each(vectors.announcements)('announcement $name', ({ announcement, bytes }) => {
    expect(toHex(encode(encodeAnnouncement(announcement as Announcement)))).toBe(bytes)
    expect(decodeAnnouncement(decoded(bytes))).toEqual(announcement)
  })

  test.each(vectors.presences)('word of presence: $name', ({ word, body, bytes }) => {
    const said = plainOf(word) as Present | Gone
    expect(toHex(encode(encodePresence(said)))).toBe(bytes)
    expect(jsonOf(decodePresence(decoded(bytes)))).toEqual(word)
    if (said.kind === 'present') expect(toHex(presenceBody('1'.repeat(64), '/board/roadmap', said))).toBe(body)
  })

  test.each(vectors.signals)('signal $name', ({ signal, body, bytes }) => {
    const said = plainOf(signal) as SignalBody
    expect(toHex(encodeSignalBody(said))).toBe(body)
    const { body: signed, signature, certificate, ...read } = good(readSignal(fromHex(bytes)))
    expect(jsonOf(read)).toEqual(signal)
    expect([toHex(signed), toHex(sealSignal(signed, signature, certificate))]).toEqual([body, bytes])
  })
})

test('every kind of statement, frame and message has its bytes here', () => {
  const kindsOf = (all: readonly { readonly bytes: string }[], at: number): number[] => {
    const kinds = all.map(({ bytes }) => {
      const list = decoded(bytes)
      return Array.isArray(list) ? Number(list[at]) : Number.NaN
    })
    return [...new Set(kinds)].sort((a, b) => a - b)
  }
  const upTo = (last: number): number[] => Array.from({ length: last + 1 }, (_, kind) => kind)
  const bodies = vectors.entries.map(({ bytes }) => ({ bytes: toHex(good(readEntry(fromHex(bytes), hash)).body) }))
  expect(kindsOf([...bodies, ...vectors.statements], 9)).toEqual(upTo(10))
  expect(kindsOf(vectors.frames, 1)).toEqual(upTo(21))
  expect(kindsOf([...vectors.messages, ...vectors.announcements, ...vectors.presences, ...vectors.recalls], 0)).toEqual(
    upTo(19),
  )
})

const decoded = (bytes: string): Plain => {
  const plain = decode(fromHex(bytes))
  if (isRefusal(plain)) throw new Error(plain.code)
  return plain
}
