/** Signatures, hashes and what they make of a commit: µs of processor time each, and the bytes of a commit alone and among a hundred. */
import { createHash, generateKeyPairSync, hash, randomBytes, sign, verify, webcrypto } from 'node:crypto'
import { nodeRuntime } from '@weft-db/runtime/node'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import { type Commit, readCommit, sealCommit, signedBytes } from '../../packages/engine/src/commit/commit.ts'
import { PackWriter } from '../../packages/engine/src/commit/packwriter.ts'
import { withoutNeedless } from '../../packages/engine/src/commit/run.ts'
import { encodeMessage } from '../../packages/engine/src/sync/message.ts'
import type { Area } from './area.ts'
import type { Figure, Role } from './figure.ts'
import { cpuOfAsync, interleaved, median } from './measure.ts'
import { composer, patchBytes, sha256, signedChain } from './sample.ts'

interface Way {
  readonly role: Role
  readonly limit?: number
  /** So many times. */
  run(count: number): Promise<void>
}

const area = 'crypto'
/** Bytes of the header of a commit and of what is signed of it. */
const headerBytes = 256
const inPack = 100

const each = async (count: number, run: (index: number) => unknown): Promise<void> => {
  for (let index = 0; index < count; index++) await run(index)
}

const measured = async (name: string, ways: Readonly<Record<string, Way>>, rounds: number, count: number) => {
  const engines = new Map(
    Object.entries(ways).map(([engine, way]) => [engine, async () => (await cpuOfAsync(() => way.run(count))) / count]),
  )
  await interleaved(1, engines)
  const results = await interleaved(rounds, engines)
  return Object.entries(ways).map(
    ([engine, { role, limit }]): Figure => ({
      area,
      case: name,
      engine,
      role,
      metric: 'CPU',
      value: median(results.get(engine) ?? []),
      unit: 'µs',
      ...(limit !== undefined && { limit }),
    }),
  )
}

export const crypto: Area = async ({ quick }) => {
  const [rounds, count] = quick ? [5, 300] : [15, 1_000]
  const runtime = nodeRuntime()
  const key = await runtime.generateKey()
  const bytes = new Uint8Array(randomBytes(headerBytes))
  const bare = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const form = 'ieee-p1363'
  const signature = await key.sign(bytes)
  const bareSignature = sign('sha256', bytes, { key: bare.privateKey, dsaEncoding: form })
  const { subtle } = webcrypto
  const scheme = { name: 'ECDSA', hash: 'SHA-256' }
  const pair = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
  const subtleSignature = new Uint8Array(await subtle.sign(scheme, pair.privateKey, bytes))

  const signing = await measured(
    'sign',
    {
      weft: { role: 'weft', run: (count) => each(count, () => key.sign(bytes)) },
      'node:crypto': {
        role: 'baseline',
        run: (count) => each(count, () => sign('sha256', bytes, { key: bare.privateKey, dsaEncoding: form })),
      },
      subtle: { role: 'note', run: (count) => each(count, () => subtle.sign(scheme, pair.privateKey, bytes)) },
    },
    rounds,
    count,
  )
  const verifying = await measured(
    'verify',
    {
      weft: { role: 'weft', run: (count) => each(count, () => runtime.verify(key.publicKey, bytes, signature)) },
      'node:crypto': {
        role: 'baseline',
        run: (count) =>
          each(count, () => verify('sha256', bytes, { key: bare.publicKey, dsaEncoding: form }, bareSignature)),
      },
      subtle: {
        role: 'note',
        run: (count) => each(count, () => subtle.verify(scheme, pair.publicKey, subtleSignature, bytes)),
      },
    },
    rounds,
    count,
  )
  const hashing = await measured(
    `SHA-256 of ${headerBytes} B`,
    {
      weft: { role: 'weft', run: (count) => each(count, () => runtime.hash(bytes)) },
      'crypto.hash': { role: 'baseline', run: (count) => each(count, () => hash('sha256', bytes, 'buffer')) },
      createHash: { role: 'note', run: (count) => each(count, () => createHash('sha256').update(bytes).digest()) },
    },
    rounds,
    count * 10,
  )

  const written = await signedChain(key, inPack)
  const compose = composer(key)
  const previous = compose(0, null).id
  const making = await measured(
    'sign and encode a commit',
    {
      weft: {
        role: 'weft',
        limit: 60,
        run: (count) =>
          each(count, async (index) => {
            const commit = compose(index, index === 0 ? null : previous)
            sealCommit(commit, await key.sign(signedBytes(commit.id)))
          }),
      },
      'node:crypto, signature alone': {
        role: 'baseline',
        run: (count) => each(count, () => sign('sha256', bytes, { key: bare.privateKey, dsaEncoding: form })),
      },
    },
    rounds,
    count,
  )
  const arriving = await measured(
    'read and verify a commit',
    {
      weft: {
        role: 'weft',
        limit: 110,
        run: (count) =>
          each(count, async (index) => {
            const commit = readCommit(written[index % inPack] ?? bytes, sha256)
            if (isRefusal(commit)) throw new Error(`${commit.code} ${commit.about}`)
            const valid = await runtime.verify(key.publicKey, signedBytes(commit.id), commit.signature)
            if (!valid) throw new Error('a signature of ours is not valid')
          }),
      },
      'node:crypto, verification alone': {
        role: 'baseline',
        run: (count) =>
          each(count, () => verify('sha256', bytes, { key: bare.publicKey, dsaEncoding: form }, bareSignature)),
      },
    },
    rounds,
    count,
  )

  const weft = { area, engine: 'weft', role: 'weft', unit: 'B' } as const
  const commits = written.flatMap((record): Commit[] => {
    const commit = readCommit(record, sha256)
    return isRefusal(commit) ? [] : [commit]
  })
  const single = written.at(-1)?.length ?? 0
  const [first] = commits
  if (first === undefined || commits.length < inPack) throw new Error('commits of ours are refused')
  // As they travel: one behind the others on a channel that has seen their author, or all of them in one pack.
  const pushed = (pack: Uint8Array): number =>
    encode(encodeMessage({ kind: 'packed', round: 0, last: false, unknown: [], pack, certificates: [] })).length
  const warm = new PackWriter(first)
  warm.pack(commits.slice(0, -1))
  const alone = pushed(warm.pack(commits.slice(-1)))
  // All are of one chain, and what they build on too.
  const together = pushed(new PackWriter(first).pack(withoutNeedless(commits, () => first.chain)))
  return [
    ...signing,
    ...verifying,
    ...hashing,
    ...making,
    ...arriving,
    { ...weft, case: 'a commit that sets three fields', metric: 'alone, signed', value: alone, limit: 150 },
    {
      ...weft,
      case: 'a commit that sets three fields',
      metric: `in a push of ${inPack}`,
      value: together / inPack,
      limit: 45 + patchBytes,
    },
    {
      area,
      case: 'a commit that sets three fields',
      engine: 'its patch and its signature',
      role: 'note',
      metric: 'alone, signed',
      value: patchBytes + 64,
      unit: 'B',
    },
    { ...weft, case: 'a commit that sets three fields', metric: 'as a record', value: single },
  ]
}
