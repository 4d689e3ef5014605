/** What honest replicas write, made by the real encoders: where the search for inputs starts from. */
import { hash as digest } from 'node:crypto'
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import type { Plain } from '../../packages/engine/src/bytes/plain.ts'
import { refusal } from '../../packages/engine/src/bytes/refusal.ts'
import { composeCommit, type Draft, type Hash, type Header } from '../../packages/engine/src/commit/commit.ts'
import { type Operation, tagOf } from '../../packages/engine/src/commit/operation.ts'
import type { Announcement } from '../../packages/engine/src/mesh/announcement.ts'
import type { Gone, Present } from '../../packages/engine/src/mesh/presence.ts'
import { encodeSignalBody, sealSignal } from '../../packages/engine/src/mesh/signal.ts'
import type { Frame } from '../../packages/engine/src/replica/wire.ts'
import { makeFilter } from '../../packages/engine/src/sync/filter.ts'
import type { Cursor, Message, PackedPush } from '../../packages/engine/src/sync/message.ts'
import type { Sums } from '../../packages/engine/src/sync/sums.ts'
import { encodeVector } from '../../packages/engine/src/sync/vector.ts'
import { encodeCertificate } from '../../packages/engine/src/trust/certificate.ts'
import { encodeEntry, noNetwork, rootPath, type Statement } from '../../packages/engine/src/trust/entry.ts'
import { sealBody } from '../../packages/engine/src/trust/signed.ts'
import type { Stream } from '../sim/random.ts'

export const hash: Hash = (bytes) => new Uint8Array(digest('sha256', bytes, 'buffer'))

const words = ['', 'a', 'title', 'notes', 'x\u{1f9f6}y', '\u05d0\u202e', '\u0000', 'ü'.repeat(20), '\ufeffbom']
const hex = (draw: Stream, length: number): string => toHex(draw.bytes(length))

export const somePlain = (draw: Stream, depth = 0): Plain => {
  switch (draw.int(depth < 3 ? 9 : 6)) {
    case 0:
      return draw.pick([0, 1, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_295, -1, -25, -4_294_967_296])
    case 1:
      return draw.pick([0.5, -0.25, 4_294_967_296, -4_294_967_297, 1e300, 5e-324, 9_007_199_254_740_991])
    case 2:
      return draw.pick([true, false, null])
    case 3:
    case 4:
      return draw.pick(words)
    case 5:
      return draw.bytes(draw.pick([0, 1, 12, 32, 64]))
    case 6:
    case 7:
      return Array.from({ length: draw.int(5) }, () => somePlain(draw, depth + 1))
    default:
      return new Map(Array.from({ length: draw.int(4) }, () => [draw.pick(words), somePlain(draw, depth + 1)] as const))
  }
}

const someScalar = (draw: Stream) => draw.pick(['', 'word', 'x\u{1f9f5}', 0, -3, 1.5, 1e15, true, false, null])

export const someOperation = (draw: Stream): Operation => {
  const field = draw.pick(['title', 'count', 'tags', 'marks', 'notes'])
  const tags = Array.from({ length: 1 + draw.int(3) }, () => tagOf(hex(draw, 32), draw.int(40)))
  switch (draw.int(9)) {
    case 0:
      return { kind: 'assign', field, value: someScalar(draw) }
    case 1:
      return { kind: 'add', field, value: someScalar(draw) }
    case 2:
      return { kind: 'remove', field, tags }
    case 3:
      return { kind: 'put', field, entry: [draw.pick(words), someScalar(draw)] }
    case 4:
      return { kind: 'drop', field, tags }
    case 5:
    case 6: {
      const insert = draw.pick(['', 'one', '\u{1f9f5}\u{1f9f6}', 'line\nline'])
      return { kind: 'splice', field, at: draw.int(90), remove: 1 + draw.int(300), length: insert.length, insert }
    }
    case 7:
      return { kind: 'touch' }
    default:
      return { kind: 'delete' }
  }
}

const somePosition = (draw: Stream) => ({ epoch: draw.int(3), n: draw.int(70_000), hash: hex(draw, 32) })

export const someHeader = (draw: Stream): Header => {
  const seq = draw.pick([0, 0, 1, 24, 70_000])
  return {
    network: hex(draw, 32),
    repository: draw.pick(['/board/roadmap', '/b/ü']),
    session: hex(draw, 32),
    incarnation: hex(draw, 8),
    seq,
    prev: seq === 0 ? null : hex(draw, 32),
    clock: draw.pick([0, 1, 450_000_000_000_000, Number.MAX_SAFE_INTEGER]),
    policy: { root: somePosition(draw), authority: draw.chance(0.3) ? null : somePosition(draw) },
    atomic: draw.chance(0.3),
    extended: false,
  }
}

export const someDraft = (draw: Stream, key: string): Draft => ({
  key,
  parents: Array.from({ length: draw.pick([0, 1, 2, 16]) }, () => hex(draw, 32)).sort(),
  schema: { name: 'card', version: 1 + draw.int(3), hash: hex(draw, 32) },
  operations: Array.from({ length: draw.int(6) }, () => someOperation(draw)),
  salt: draw.bytes(12),
})

/** Every fourth has lost a content, as an erasure leaves it: its hash in its place. */
export const someCommit = (draw: Stream): Uint8Array => {
  const drafts = Array.from({ length: 1 + draw.int(3) }, (_, index) => someDraft(draw, `item ${index}`))
  const commit = composeCommit(someHeader(draw), drafts, hash)
  const erased = draw.chance(0.25) ? draw.int(drafts.length) : undefined
  const changes = commit.parts.map((part, index) =>
    index === erased ? [part[0], part[1], [hash(part[2])]] : [...part],
  )
  return encode([commit.header, draw.bytes(64), changes])
}

const publicKey = (draw: Stream): Uint8Array => Uint8Array.from([4, ...draw.bytes(64)])

export const someCertificate = (draw: Stream): Uint8Array => {
  const issued = draw.int(2 ** 32) * 400
  const body = encodeCertificate({
    network: hex(draw, 32),
    publicKey: publicKey(draw),
    owner: draw.pick(['mail:ada@example.org', 'anonymous:1']),
    name: draw.pick(['Ada', 'Zoë \u{1f9f5}']),
    issued,
    expires: issued + draw.pick([1, 1000, 2_592_000_000]),
    number: 1 + draw.int(1_000),
    signer: hex(draw, 32),
  })
  return sealBody(body, draw.bytes(64), hash).bytes
}

const rootStatements = (draw: Stream): readonly Statement[] => [
  { kind: 'revocation', subject: { session: hex(draw, 32) }, reason: 'lost' },
  { kind: 'revocation', subject: { owner: 'mail:ada@example.org' }, reason: '' },
  { kind: 'key', publicKey: publicKey(draw) },
  { kind: 'retirement', signer: hex(draw, 32) },
  { kind: 'rules', version: draw.int(9) },
]

const statements = (draw: Stream): readonly Statement[] => [
  {
    kind: 'checkpoint',
    headsRoot: hex(draw, 32),
    stateRoot: draw.chance(0.5) ? null : hex(draw, 32),
    moved: Array.from({ length: draw.int(4) }, () => ({
      chain: hex(draw, 40),
      seq: draw.int(70_000),
      id: hex(draw, 32),
    })),
  },
  {
    kind: 'verdict',
    commit: hex(draw, 32),
    key: draw.chance(0.5) ? null : 'item',
    code: 'NotAllowed',
    rule: '/board/:id',
    reason: 'no',
  },
  { kind: 'grant', owner: 'ada', role: 'editor', by: 'bob', fences: draw.chance(0.5), founding: false },
  { kind: 'grant', owner: 'ada', role: null, by: null, fences: true, founding: false },
  { kind: 'invitation', secret: hex(draw, 32), role: 'viewer', expires: 1e12, uses: draw.int(3), by: 'ada' },
  {
    kind: 'erasure',
    changes: [{ commit: hex(draw, 32), key: 'item' }],
    dead: [{ commit: hex(draw, 32), key: 'item' }],
    by: 'ada',
    reason: 'asked',
  },
]

export const someEntry = (draw: Stream): Uint8Array => {
  const seal = (body: Uint8Array): Uint8Array => sealBody(body, draw.bytes(64), hash).bytes
  if (draw.chance(0.1)) {
    const key = publicKey(draw)
    const statement: Statement = { kind: 'genesis', publicKey: key, name: draw.bytes(16) }
    const first = { network: noNetwork, log: rootPath, epoch: 0, n: 0, prev: null, root: null, time: 1 }
    return seal(encodeEntry({ ...first, signer: toHex(hash(key)), statement }))
  }
  const isRoot = draw.chance(0.3)
  const n = (isRoot ? 1 : 0) + draw.int(300)
  return seal(
    encodeEntry({
      network: hex(draw, 32),
      log: isRoot ? rootPath : '/board/roadmap',
      epoch: draw.int(2),
      n,
      prev: n === 0 ? null : hex(draw, 32),
      root: isRoot ? null : somePosition(draw),
      time: draw.int(2 ** 32) * 400,
      signer: hex(draw, 32),
      statement: draw.pick(isRoot ? rootStatements(draw) : statements(draw)),
    }),
  )
}

export const someSums = (draw: Stream): Sums =>
  Uint32Array.from({ length: draw.int(40) + 1 }, () => draw.int(2_147_483_647))

const someCursor = (draw: Stream): Cursor => ({ place: draw.int(70_000), hash: draw.bytes(4) })

export const someMessage = (draw: Stream): Message | PackedPush => {
  const round = 1 + draw.int(300)
  switch (draw.int(13)) {
    case 0: {
      const sketch = draw.pick([undefined, someSums(draw), someCursor(draw)])
      return { kind: 'hello', fingerprint: draw.bytes(8), empty: draw.chance(0.5), sketch }
    }
    case 1:
      return { kind: 'entries', from: draw.int(300), entries: [draw.bytes(5), someEntry(draw)] }
    case 2: {
      const ids = Array.from({ length: draw.pick([0, 1, 7, 40]) }, () => hex(draw, 32))
      return { kind: 'filter', round, filter: makeFilter(ids, draw.bytes(16), hash) }
    }
    case 3: {
      const [chain, id] = draw.pick([
        [8, 8],
        [40, 32],
      ] as const)
      const heads = Array.from({ length: draw.int(4) }, () => ({
        chain: hex(draw, chain),
        seq: draw.int(70_000),
        id: hex(draw, id),
      }))
      return { kind: 'heads', round, more: heads.length > 0 && draw.chance(0.5), heads }
    }
    case 4: {
      const wants = Array.from({ length: draw.int(3) }, (_, index) => ({
        index,
        held: Array.from({ length: draw.int(3) }, () => ({ seq: draw.int(99), id: hex(draw, draw.pick([8, 32])) })),
      }))
      return { kind: 'want', round, more: wants.length > 0 && draw.chance(0.5), wants }
    }
    case 5: {
      const commits = Array.from({ length: draw.int(3) }, () => draw.bytes(draw.int(40)))
      return { kind: 'push', round: 0, last: true, unknown: [1, 2], commits, certificates: [draw.bytes(3)] }
    }
    case 6:
      return draw.chance(0.5)
        ? { kind: 'fingerprint', round, fingerprint: draw.bytes(8), moved: draw.chance(0.5), cursor: undefined }
        : { kind: 'fingerprint', round, fingerprint: undefined, moved: draw.chance(0.5), cursor: someCursor(draw) }
    case 7:
      return { kind: 'refused', code: draw.pick(['DiskFull', 'BadHash'] as const), ids: [hex(draw, 32)] }
    case 8:
      return { kind: 'sums', round, sums: someSums(draw) }
    case 9: {
      const heads = Array.from({ length: draw.int(40) }, () => ({ key: draw.int(200), seq: draw.int(999), idBits: 0 }))
      return { kind: 'vector', round, bits: encodeVector(heads, { round, idBits: 0 }) }
    }
    case 10: {
      const behind = Array.from({ length: draw.int(4) }, () => {
        const held = draw.int(3)
        return { key: draw.uint32(), held, id: held === 0 ? '' : hex(draw, 4) }
      })
      return { kind: 'moved', round, rest: [...someSums(draw)].slice(0, 5), behind, pushes: draw.chance(0.5) }
    }
    case 11:
      return {
        kind: 'packed',
        round,
        last: draw.chance(0.5),
        unknown: [1],
        pack: draw.bytes(draw.int(90)),
        certificates: [],
      }
    default:
      return { kind: 'rest', round }
  }
}

/** Frames of a channel; `sync` is what the messages are sent in. */
export const someFrame = (draw: Stream): Frame => {
  const tag = draw.int(1024)
  switch (draw.int(21)) {
    case 0: {
      const network = draw.chance(0.5) ? null : hex(draw, 32)
      return { kind: 'greet', network, nonce: draw.bytes(32), time: draw.int(2 ** 32) * 400, root: draw.int(99) }
    }
    case 1: {
      const certificate = draw.chance(0.5) ? null : someCertificate(draw)
      return {
        kind: 'prove',
        publicKey: publicKey(draw),
        certificate,
        signature: draw.bytes(64),
        root: [draw.bytes(9)],
      }
    }
    case 2:
      return { kind: 'login', method: 'anonymous', credentials: somePlain(draw) }
    case 3:
      return { kind: 'certified', certificate: someCertificate(draw) }
    case 4:
      return { kind: 'refused', code: 'BadProof', about: 'a proof' }
    case 5:
      return { kind: 'beat' }
    case 6:
      return {
        kind: 'subscribe',
        tag,
        path: '/board/roadmap',
        log: draw.chance(0.5) ? undefined : somePosition(draw),
        moved: draw.int(99),
        store: draw.bytes(8),
      }
    case 7:
      return { kind: 'sync', tag, message: somePlain(draw) }
    case 8:
      return { kind: 'root', entries: [someEntry(draw), draw.bytes(4)] }
    case 9:
      return { kind: 'unsubscribe', tag }
    case 10:
      return { kind: 'request', tag, method: draw.pick(['join', 'grant']), args: somePlain(draw) }
    case 11: {
      const reason = draw.chance(0.5) ? {} : { reason: 'ask the owner' }
      return {
        kind: 'answer',
        tag,
        why: draw.chance(0.3) ? null : { ...refusal('NotAllowed', '/board/:id'), ...reason },
      }
    }
    case 12:
      return { kind: 'farewell', path: '/board/roadmap', entries: [someEntry(draw)] }
    case 13:
      return { kind: 'welcome', path: '/board/roadmap' }
    case 14:
      return { kind: 'seek', count: draw.int(65), met: someSessions(draw) }
    case 15: {
      const credentials = draw.chance(0.5) ? {} : { username: '1:ab', credential: 'cd' }
      const servers = draw.chance(0.5) ? [] : [{ urls: ['turn:turn.example.org?transport=udp'], ...credentials }]
      return { kind: 'members', total: draw.int(1_000), sessions: someSessions(draw), servers }
    }
    case 16:
      return { kind: 'neighbours', sessions: someSessions(draw) }
    case 17:
      return { kind: 'carry', session: hex(draw, 32), signal: someSignal(draw) }
    case 18:
      return { kind: 'signal', session: hex(draw, 32), signal: someSignal(draw) }
    case 19:
      return { kind: 'ping', number: draw.int(99) }
    default:
      return { kind: 'pong', number: draw.int(99) }
  }
}

const someSessions = (draw: Stream): string[] => Array.from({ length: draw.int(4) }, () => hex(draw, 32))

export const someSignal = (draw: Stream): Uint8Array => {
  const kind = draw.int(3)
  const parts = Array.from({ length: 1 + draw.int(3) }, () => draw.bytes(draw.int(40)))
  const body = encodeSignalBody({
    network: hex(draw, 32),
    from: hex(draw, 32),
    to: hex(draw, 32),
    attempt: hex(draw, 16),
    number: draw.int(9),
    expires: draw.int(2 ** 32) * 400,
    content:
      kind === 0
        ? { kind: 'ask', urgent: draw.chance(0.5) }
        : kind === 1
          ? { kind: 'path', parts }
          : { kind: 'no', reason: draw.pick(['full', 'gave up', 'unable']) },
  })
  return sealSignal(body, draw.bytes(64), someCertificate(draw))
}

/** What members of the mesh say about a repository beside its commits. */
export const someRumour = (draw: Stream): Announcement | Present | Gone => {
  const ids = Array.from({ length: draw.int(5) }, () => hex(draw, 8))
  const word = { session: hex(draw, 32), number: draw.int(99) }
  switch (draw.int(5)) {
    case 0:
      return { kind: 'have', ids }
    case 1:
      return { kind: 'graft', ids }
    case 2:
      return { kind: 'prune' }
    case 3:
      return { kind: 'gone', ...word }
    default: {
      const state = draw.chance(0.3) ? undefined : new Map([['caret', draw.int(99)]])
      return { kind: 'present', ...word, state, signature: draw.bytes(64) }
    }
  }
}
