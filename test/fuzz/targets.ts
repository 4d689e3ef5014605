/**
 * What a stranger can feed bytes to, and what must hold for every input: it throws nothing, it answers with a value or a refusal, and what it
 * accepts is the one encoding of what it read, so that encoding that again gives the same bytes.
 */
import { isDeepStrictEqual } from 'node:util'
import { concatBytes, equalBytes, toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { decode, encode, type Plain } from '../../packages/engine/src/bytes/cbor.ts'
import { crc32c } from '../../packages/engine/src/bytes/crc32c.ts'
import { decodeExactly } from '../../packages/engine/src/bytes/exact.ts'
import { guard, messageLimits } from '../../packages/engine/src/bytes/guard.ts'
import { limits } from '../../packages/engine/src/bytes/limits.ts'
import { isRefusal, type Refusal } from '../../packages/engine/src/bytes/refusal.ts'
import { Authors } from '../../packages/engine/src/commit/authors.ts'
import { composeCommit, readCommit, sealCommit } from '../../packages/engine/src/commit/commit.ts'
import type { Operation } from '../../packages/engine/src/commit/operation.ts'
import { encodeFrame as encodeLogFrame, frameKinds, Scanner, scan } from '../../packages/engine/src/log/frame.ts'
import { PackedLogReader, PackedLogWriter } from '../../packages/engine/src/log/packedlog.ts'
import {
  type Announcement,
  decodeAnnouncement,
  encodeAnnouncement,
} from '../../packages/engine/src/mesh/announcement.ts'
import { decodePresence, encodePresence, type Gone, type Present } from '../../packages/engine/src/mesh/presence.ts'
import { encodeSignalBody, readSignal, sealSignal } from '../../packages/engine/src/mesh/signal.ts'
import { decodeFrame, encodeFrame } from '../../packages/engine/src/replica/wire.ts'
import { hits, refuseFilter } from '../../packages/engine/src/sync/filter.ts'
import { decodeMessage, encodeMessage, type Message, type PackedPush } from '../../packages/engine/src/sync/message.ts'
import { encodeCertificate, readCertificate } from '../../packages/engine/src/trust/certificate.ts'
import { encodeEntry, readEntry } from '../../packages/engine/src/trust/entry.ts'
import { Decoder, Encoder, type Packet } from '../../packages/socketio/src/packet.ts'
import type { Stream } from '../sim/random.ts'
import { isCanonical } from './profile.ts'
import { rehash } from './rehash.ts'
import {
  hash,
  someCertificate,
  someCommit,
  someEntry,
  someFrame,
  someMessage,
  somePlain,
  someRumour,
  someSignal,
} from './samples.ts'
import { list, string, write } from './tree.ts'

export interface Target {
  readonly name: string
  /** Files whose code the search is to reach. */
  readonly sources: readonly string[]
  /** An input as an honest replica would send it. */
  sample(draw: Stream): Uint8Array
  /** Whether inputs are CBOR, and are mutated as such too. */
  readonly isCbor: boolean
  /** Makes what a mutation broke on the outside right again, checksums and hashes, so that the inside is reached. */
  repair?(input: Uint8Array): Uint8Array
  /** What the product does with the input: this is what is timed. */
  read(input: Uint8Array): unknown
  /** Judges what came of it. Returns a word for that, the same for inputs of one kind; throws when a promise is broken. */
  judge(input: Uint8Array, read: unknown): string
}

/** A target whose `judge` is given what its `read` gave. */
const target = <Read>(
  parts: Omit<Target, 'read' | 'judge'> & {
    readonly read: (input: Uint8Array) => Read
    readonly judge: (input: Uint8Array, read: Read) => string
  },
): Target => ({ ...parts, judge: (input, read) => parts.judge(input, read as Read) })

const must: (holds: boolean, promise: string) => asserts holds = (holds, promise) => {
  if (!holds) throw new Error(promise)
}

/** The refusal without what differs from input to input. */
const named = (refusal: Refusal): string => {
  must(
    typeof refusal.code === 'string' && typeof refusal.about === 'string',
    'a refusal has a code and what it is about',
  )
  return `${refusal.code} ${refusal.about.replace(/[^a-zA-Z ]+|[0-9a-f]*\d[0-9a-f]*/g, '#').slice(0, 40)}`
}

const same = (bytes: Uint8Array, again: Uint8Array, what: string): void =>
  must(equalBytes(bytes, again), `${what} re-encodes to itself, not to ${toHex(again.subarray(0, 200))}`)

const listOf = (plain: Plain | undefined): readonly Plain[] => {
  must(Array.isArray(plain), 'an accepted list is a list')
  return plain as readonly Plain[]
}

const bytesOf = (plain: Plain | undefined): Uint8Array => {
  must(plain instanceof Uint8Array, 'accepted bytes are bytes')
  return plain
}

const decoded = (bytes: Uint8Array): Plain => {
  const plain = decode(bytes)
  must(!isRefusal(plain), 'what was accepted can be decoded')
  return plain
}

const guarding = target({
  name: 'guard',
  sources: ['engine/src/bytes/guard.ts'],
  isCbor: true,
  sample: (draw) => encode(somePlain(draw)),
  read: (input) => guard(input),
  judge: (input, refused) => {
    // The limits follow from the input, so that all of them are met.
    const tight = { bytes: 64 + (input[0] ?? 0), depth: (input.length % 5) + 1, nodes: 8 + (input.at(-1) ?? 0) }
    const canonical = isCanonical(input, messageLimits)
    must((refused === undefined) === canonical, `the guard accepts what is canonical and nothing else: ${canonical}`)
    const narrow = guard(input, tight)
    must((narrow === undefined) === isCanonical(input, tight), 'so it does under any limits')
    return refused === undefined ? `accepted ${narrow?.code ?? ''}` : named(refused)
  },
})

const decoding = target({
  name: 'cbor',
  sources: ['engine/src/bytes/guard.ts', 'engine/src/bytes/cbor.ts', 'engine/src/bytes/exact.ts', 'cbor-x'],
  isCbor: true,
  sample: (draw) => encode(somePlain(draw)),
  read: (input) => decode(input),
  judge: (input, plain) => {
    if (isRefusal(plain)) return named(plain)
    same(input, encode(plain), 'what is accepted')
    must(isDeepStrictEqual(plain, decodeExactly(input)), 'cbor-x reads what the standard says')
    return `accepted ${plain === null ? 'null' : typeof plain}`
  },
})

const saltOf = (content: Uint8Array): Uint8Array => bytesOf(listOf(decoded(content))[0])

/** An operation whose content was erased, with some content of the same shape. */
const standIn = (operation: Operation): Operation => {
  if (operation.kind === 'put') return { ...operation, entry: ['', null] }
  return operation.kind === 'splice' ? { ...operation, insert: 'x'.repeat(operation.length) } : operation
}

const commits = target({
  name: 'commit',
  sources: ['engine/src/commit/'],
  isCbor: true,
  sample: someCommit,
  repair: rehash,
  read: (input) => readCommit(input, hash),
  judge: (input, commit) => {
    if (isRefusal(commit)) return named(commit)
    must(equalBytes(commit.bytes, input), 'a commit keeps the bytes it came in')
    const [header, signature, list] = listOf(decoded(input))
    const parts = listOf(list).map(listOf)
    for (const [index, change] of commit.changes.entries())
      must(change.erased === Array.isArray(parts[index]?.[2]), 'erased is what came without content')
    const drafts = commit.changes.map((change, index) => {
      const content = parts[index]?.[2]
      const operations = change.erased ? change.operations.map(standIn) : change.operations
      return { ...change, operations, salt: content instanceof Uint8Array ? saltOf(content) : new Uint8Array(12) }
    })
    const again = composeCommit(commit, drafts, hash)
    for (const [index, [identity, ops, content]] of again.parts.entries()) {
      same(bytesOf(parts[index]?.[0]), identity, 'an identity')
      same(bytesOf(parts[index]?.[1]), ops, 'operations')
      if (!commit.changes[index]?.erased) same(bytesOf(parts[index]?.[2]), content, 'a content')
    }
    const whole = !commit.changes.some(({ erased }) => erased)
    // What a later version put in the header is not known here.
    if (whole && !commit.extended) {
      same(bytesOf(header), again.header, 'a header')
      same(input, sealCommit(again, bytesOf(signature)).bytes, 'a commit')
      must(again.id === commit.id, 'a commit has one id')
    }
    const kinds = new Set(commit.changes.flatMap(({ operations }) => operations.map(({ kind }) => kind)))
    return `accepted ${[...kinds].sort((a, b) => (a < b ? -1 : 1)).join()} ${whole} ${commit.extended}`
  },
})

const certificates = target({
  name: 'certificate',
  sources: ['engine/src/trust/certificate.ts', 'engine/src/trust/signed.ts'],
  isCbor: true,
  sample: someCertificate,
  read: (input) => readCertificate(input, hash),
  judge: (input, certificate) => {
    if (isRefusal(certificate)) return named(certificate)
    must(equalBytes(certificate.bytes, input), 'a certificate keeps the bytes it came in')
    same(certificate.body, encodeCertificate(certificate), 'a certificate')
    return 'accepted'
  },
})

const entries = target({
  name: 'entry',
  sources: ['engine/src/trust/entry.ts', 'engine/src/trust/signed.ts'],
  isCbor: true,
  sample: someEntry,
  read: (input) => readEntry(input, hash),
  judge: (input, entry) => {
    if (isRefusal(entry)) return named(entry)
    must(equalBytes(entry.bytes, input), 'an entry keeps the bytes it came in')
    if (entry.statement.kind !== 'unknown') same(entry.body, encodeEntry(entry), 'an entry')
    return `accepted ${entry.statement.kind}`
  },
})

/** The number a frame is expected to have: its own, mostly. */
const numberIn = (input: Uint8Array): number => (input[1] ?? 0) % 3

const readMessage = (input: Uint8Array): Message | PackedPush | Refusal => {
  const plain = decode(input)
  return isRefusal(plain) ? plain : decodeMessage(plain)
}

const frames = target({
  name: 'frame',
  sources: ['engine/src/replica/wire.ts'],
  isCbor: true,
  sample: (draw) => encodeFrame(draw.int(3), someFrame(draw)),
  read: (input) => decodeFrame(input, numberIn(input)),
  judge: (input, frame) => {
    const number = numberIn(input)
    if (isRefusal(frame)) return named(frame)
    const again = encodeFrame(number, frame)
    const reread = decodeFrame(again, number)
    must(!isRefusal(reread), 'what a frame was read as can be sent')
    same(again, encodeFrame(number, reread), 'a frame that was read and sent')
    // Its words are cut short when they are sent.
    if (frame.kind === 'answer') return 'accepted answer'
    const read = listOf(decoded(again))
    // Fields beyond those of its kind may come with a later version; frames are neither signed nor kept.
    same(encode(listOf(decoded(input)).slice(0, read.length)), encode(read), 'a frame')
    return `accepted ${frame.kind}`
  },
})

const messages = target({
  name: 'message',
  sources: ['engine/src/sync/message.ts', 'engine/src/bytes/shape.ts'],
  isCbor: true,
  sample: (draw) => encode(encodeMessage(someMessage(draw))),
  read: readMessage,
  judge: (input, message) => {
    if (isRefusal(message)) return named(message)
    same(input, encode(encodeMessage(message)), 'a message')
    return `accepted ${message.kind}`
  },
})

const signals = target({
  name: 'signal',
  sources: ['engine/src/mesh/signal.ts'],
  isCbor: true,
  sample: someSignal,
  read: readSignal,
  judge: (input, signal) => {
    if (isRefusal(signal)) return named(signal)
    same(signal.body, encodeSignalBody(signal), 'the body of a signal')
    same(input, sealSignal(signal.body, signal.signature, signal.certificate), 'a signal')
    return `accepted ${signal.content.kind}`
  },
})

const readRumour = (input: Uint8Array): Announcement | Present | Gone | Refusal | undefined => {
  const plain = decode(input)
  if (isRefusal(plain)) return plain
  return decodeAnnouncement(plain) ?? decodePresence(plain)
}

const rumours = target({
  name: 'rumour',
  sources: ['engine/src/mesh/announcement.ts', 'engine/src/mesh/presence.ts'],
  isCbor: true,
  sample: (draw) => {
    const rumour = someRumour(draw)
    return encode('session' in rumour ? encodePresence(rumour) : encodeAnnouncement(rumour))
  },
  read: readRumour,
  judge: (input, rumour) => {
    if (rumour === undefined) return 'another message'
    if (isRefusal(rumour)) return named(rumour)
    same(input, encode('session' in rumour ? encodePresence(rumour) : encodeAnnouncement(rumour)), 'a rumour')
    return `accepted ${rumour.kind}`
  },
})

const asked = Array.from({ length: 4 }, (_, index) => toHex(hash(Uint8Array.of(index))))

const filters = target({
  name: 'filter',
  sources: ['engine/src/sync/filter.ts'],
  isCbor: true,
  sample: (draw) => {
    for (;;) {
      const message = someMessage(draw)
      if (message.kind === 'filter') return encode(encodeMessage(message))
    }
  },
  read: (input) => {
    const message = readMessage(input)
    if (isRefusal(message)) return message
    if (message.kind !== 'filter') return undefined
    const refused = refuseFilter(message.filter)
    return refused ?? { filter: message.filter, hit: asked.map((id) => hits(message.filter, id, hash)) }
  },
  judge: (_, read) => {
    if (read === undefined) return 'another message'
    if (isRefusal(read)) return named(read)
    const { hit, filter } = read
    const { bits, count, hashes } = filter
    must(
      bits.length <= limits.filterBits / 8 && hashes <= limits.filterHashes,
      'an accepted filter is within the limits',
    )
    must(bits.length === (count === 0 ? 0 : Math.max(8, Math.ceil(count * 1.25))), 'a filter has 10 bits a tip')
    must(count > 0 || !hit.includes(true), 'nothing hits an empty filter')
    return `accepted ${hit.filter((one) => one).length}`
  },
})

const frameHead = 13

/** With checksums that fit, so that what a log's frames hold is reached. */
const withChecksums = (input: Uint8Array): Uint8Array => {
  const log = input.slice()
  const view = new DataView(log.buffer)
  for (let at = 0; at + frameHead <= log.length; at++) {
    if (view.getUint32(at) !== 0xf7e5e6f4) continue
    const end = at + frameHead + view.getUint32(at + 4, true)
    if (end > log.length) continue
    const sum = crc32c(log.subarray(at + 12, end), crc32c(log.subarray(at + 4, at + 8)))
    view.setUint32(at + 8, sum === 0xf4e6e5f7 ? sum - 1 : sum, true)
    at = end - 1
  }
  return log
}

const logs = target({
  name: 'log',
  sources: ['engine/src/log/frame.ts'],
  isCbor: false,
  sample: (draw) =>
    concatBytes(
      ...Array.from({ length: draw.int(5) }, () => {
        const payload = draw.chance(0.5) ? someEntry(draw) : draw.bytes(draw.int(30))
        // The first bytes of the mark, which are escaped.
        if (draw.chance(0.3) && payload.length > 4) payload.set([0xf7, 0xe5, 0xe6], draw.int(payload.length - 3))
        return encodeLogFrame(draw.int(128), payload)
      }),
    ),
  repair: withChecksums,
  read: (input) => scan(input),
  judge: (input, { frames: found, good, damage, torn }) => {
    let end = 0
    const holes = [...damage]
    for (const frame of found) {
      if (holes[0]?.from === end && holes[0].to === frame.offset) end = holes.shift()?.to ?? end
      must(frame.offset === end, 'frames and holes follow one another')
      const bytes = encodeLogFrame(frame.kind, frame.payload)
      same(input.subarray(frame.offset, frame.offset + bytes.length), bytes, 'a frame of a log')
      end += bytes.length
    }
    must(
      holes.length === 0 && end === good && torn === good < input.length,
      'every byte is in a frame, a hole or the tail',
    )
    const scanner = new Scanner()
    const cut = (input[0] ?? 0) % (input.length + 1)
    const pieces = [...scanner.push(input.slice(0, cut)), ...scanner.push(input.slice(cut)), ...scanner.end()]
    must(isDeepStrictEqual({ pieces, damage: scanner.damage }, { pieces: found, damage }), 'pieces scan like the whole')
    return `${torn || found.length === 0 ? '' : 'accepted '}${Math.min(found.length, 3)} frames, ${Math.min(damage.length, 3)} holes, ${torn}`
  },
})

const packContext = { network: '11'.repeat(32), repository: '/board/roadmap' }

const packedLogs = target({
  name: 'packed log',
  sources: [
    'engine/src/log/packedlog.ts',
    'engine/src/bytes/deflate.ts',
    'engine/src/commit/packreader.ts',
    'engine/src/commit/packchange.ts',
  ],
  isCbor: false,
  sample: (draw) => {
    const authors = new Authors(draw.int(1_000_000), { ...packContext, hash })
    const writer = new PackedLogWriter(packContext)
    const frames = Array.from({ length: 1 + draw.int(3) }, () => {
      if (draw.chance(0.2)) writer.reset()
      return writer.write(authors.some(1 + draw.int(4)))
    })
    return concatBytes(...frames.flat().map(({ kind, payload }) => encodeLogFrame(kind, payload)))
  },
  repair: withChecksums,
  read: (input) => {
    const reader = new PackedLogReader(hash)
    const { frames } = scan(input)
    return { frames, read: frames.map((frame) => reader.read(frame)), holes: reader.holes }
  },
  judge: (_, { frames: found, read, holes }) => {
    const words = new Set<string>()
    for (const [index, records] of read.entries()) {
      const frame = found[index]
      if (frame === undefined) continue
      const { kind, offset, end } = frame
      const isLost = holes.some(({ from, to }) => from <= offset && end <= to)
      must(isLost === isRefusal(records), 'what is refused is in a hole, and nothing else')
      must(kind === frameKinds.pack || (!isRefusal(records) && records.length === 0), 'other frames hold no packs')
      if (isRefusal(records)) {
        words.add(named(records))
        continue
      }
      const bytes = records.reduce((sum, record) => sum + record.bytes.length, 0)
      must(bytes <= limits.packedRecords, 'a frame unfolds to no more than it may')
      for (const { id, bytes: record } of records) {
        const plain = decode(record)
        const [header] = Array.isArray(plain) ? (plain as readonly Plain[]) : []
        must(!(header instanceof Uint8Array) || toHex(hash(header)) === id, 'an id is the hash of the header')
      }
      // Under another reading they are the same records.
      const again = new PackedLogReader(hash)
      const frames = new PackedLogWriter(packContext).write(records)
      const log = concatBytes(...frames.map((one) => encodeLogFrame(one.kind, one.payload)))
      const packed = scan(log).frames.flatMap((one) => {
        const back = again.read(one)
        must(!isRefusal(back), 'what was read can be packed')
        return back
      })
      must(isDeepStrictEqual(packed, records), 'what is packed again is the same')
    }
    const isWhole = read.length > 0 && holes.length === 0
    return `${isWhole ? 'accepted ' : ''}${Math.min(read.length, 3)} frames, ${[...words].join()}`
  },
})

const bytesOfText = new TextEncoder()
const textOfBytes = new TextDecoder()
const header = '51-["frame",{"_placeholder":true,"num":0}]'

/** A connection's packets as one input: for each a byte (even: text, odd: binary), a length, the content. */
const packetsOf = (input: Uint8Array): (string | Uint8Array)[] => {
  const parts: (string | Uint8Array)[] = []
  for (let at = 0; at + 3 <= input.length && parts.length < 16; ) {
    const length = ((input[at + 1] ?? 0) << 8) | (input[at + 2] ?? 0)
    const content = input.slice(at + 3, at + 3 + length)
    parts.push((input[at] ?? 0) % 2 === 0 ? textOfBytes.decode(content) : content)
    at += 3 + length
  }
  return parts
}

const packetInput = (parts: readonly (string | Uint8Array)[]): Uint8Array =>
  concatBytes(
    ...parts.flatMap((part) => {
      const content = typeof part === 'string' ? bytesOfText.encode(part) : part
      return [Uint8Array.of(typeof part === 'string' ? 0 : 1, content.length >> 8, content.length & 255), content]
    }),
  )

/** What an attacker who knows Socket.IO sends (revision 5 of its protocol), and what a client of ours sends. */
const packetTexts: readonly string[] = [
  header,
  header,
  header,
  '0',
  '0{}',
  '0{"sid":"abc"}',
  '0{"sid":1,"__proto__":{"sid":"x"}}',
  '1',
  '2["frame"]',
  '2["__proto__","x"]',
  '21["connect"]',
  '30[]',
  '4{"message":"x"}',
  '51-["frame",{"_placeholder":true,"num":1}]',
  '59999999999-["frame"]',
  '52-["frame",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
  '51-["disconnect",{"_placeholder":true,"num":0}]',
  '51-/admin,["frame",{"_placeholder":true,"num":0}]',
  '61-1[{"_placeholder":true,"num":0}]',
  '0/admin,',
  `0{"sid":${'['.repeat(900)}`,
  '0{"sid":"\ud800"}',
]

const packets = target({
  name: 'packet',
  sources: ['socketio/src/packet.ts'],
  isCbor: false,
  sample: (draw) =>
    packetInput(
      Array.from({ length: 1 + draw.int(5) }, () => {
        const text = draw.pick(packetTexts)
        return text === header ? [text, draw.bytes(draw.int(20))] : [text]
      }).flat(),
    ),
  read: (input) => {
    const decoder = new Decoder()
    const got: Packet[] = []
    decoder.on('decoded', (packet) => got.push(packet))
    let taken = 0
    for (const part of packetsOf(input)) {
      try {
        decoder.add(part)
      } catch (error) {
        // Socket.IO catches what its parser throws and ends the connection.
        return { got, taken, error }
      }
      taken++
    }
    return { got, taken, error: undefined }
  },
  judge: (_, { got, taken, error }) => {
    const isThrown = error instanceof Error && !(error instanceof RangeError)
    must(error === undefined || isThrown, 'a parser throws errors, and not for want of stack')
    const end = !isThrown ? 'whole' : error instanceof SyntaxError ? 'not JSON' : error.message.replace(/\d+/g, '#')
    must(got.length <= taken, 'a part makes one packet at most')
    const again = got.flatMap((packet) => new Encoder().encode(packet))
    for (const [index, { type, nsp, data }] of got.entries()) {
      must(nsp === '/' && (type === 0 || type === 1 || type === 2), 'three kinds of packets in one namespace')
      must(type !== 0 || index === got.findIndex((other) => other.type === 0), 'one joins once')
      if (type === 2) must(Array.isArray(data) && data[0] === 'frame' && data[1] instanceof Uint8Array, 'one event')
      if (type === 0 && data !== undefined)
        must(isDeepStrictEqual(Object.keys(data as object), ['sid']), 'what joins is a name and nothing else')
    }
    const reread: Packet[] = []
    const second = new Decoder()
    second.on('decoded', (packet) => reread.push(packet))
    for (const part of again) second.add(part)
    must(isDeepStrictEqual(reread, got), 'packets come back from the wire')
    return `${isThrown ? '' : 'accepted '}${Math.min(got.length, 4)} ${end}`
  },
})

export const targets: readonly Target[] = [
  guarding,
  decoding,
  commits,
  certificates,
  entries,
  frames,
  messages,
  signals,
  rumours,
  filters,
  logs,
  packedLogs,
  packets,
]

/** Large inputs, some at a limit and some that claim more than they hold: row D13 of the catalogue. */
export const bombs = (draw: Stream): readonly Uint8Array[] => {
  const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value)
  const headed = (head: readonly number[], body: Uint8Array): Uint8Array => concatBytes(Uint8Array.from(head), body)
  const many = (items: number): readonly number[] => [
    0x9a,
    items >>> 24,
    (items >>> 16) & 255,
    (items >>> 8) & 255,
    items & 255,
  ]
  const text = bytesOfText.encode('ü\u{1f9f5}x')
  return [
    filled(1_000_000, 0x81),
    filled(32, 0x81),
    headed([...Array.from({ length: 32 }, () => 0x81)], Uint8Array.of(0x80)),
    headed(many(1_000_000), filled(1_000_000, 0x80)),
    headed(many(65_535), filled(65_535, 0x80)),
    headed(many(65_534), filled(65_534, 0xa0)),
    headed(many(65_535), filled(65_535, 0x60)),
    headed([0xc2, 0x5a, 0, 8, 0, 0], filled(524_288, 0xff)),
    headed([0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], filled(9, 0)),
    headed([0x9a, 0xff, 0xff, 0xff, 0xff], filled(99, 0)),
    headed([0xba, 0x80, 0, 0, 0], filled(99, 0)),
    headed([0x5a, 0x7f, 0xff, 0xff, 0xff], filled(99, 0)),
    headed([0x7b, 0, 0, 0, 1, 0, 0, 0, 0], filled(99, 0)),
    headed([0x9f], filled(100_000, 0x9f)),
    headed([0x7f], filled(100_000, 0x60)),
    headed([0x5a, 0, 0x0f, 0xff, 0xf0], draw.bytes(0x0ffff0)),
    headed([0x7a, 0, 0x0f, 0xff, 0xf0], filled(0x0ffff0, 0x78)),
    write(list(Array.from({ length: 4000 }, () => string(3, concatBytes(...Array.from({ length: 32 }, () => text)))))),
    write(list([string(2, write(list(Array.from({ length: 4000 }, () => string(2, draw.bytes(32))))))])),
    encode(
      Array.from({ length: 500 }, (_, index) => new Map(Array.from({ length: 60 }, (__, key) => [`k${key}`, index]))),
    ),
    concatBytes(...Array.from({ length: 60_000 }, () => Uint8Array.of(0xf7, 0xe5, 0xe6, 0xf4))),
    concatBytes(
      ...Array.from({ length: 20_000 }, () =>
        Uint8Array.of(0xf7, 0xe5, 0xe6, 0xf4, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0, 1),
      ),
    ),
    filled(1_048_576, 0xf7),
    filled(1_048_577, 0),
    packetInput(Array.from({ length: 16 }, () => `0{"sid":"${'x'.repeat(65_000)}"}`)),
  ]
}
