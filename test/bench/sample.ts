/** The commit that is measured everywhere: one change of one item, three fields set. */
import { createHash } from 'node:crypto'
import type { SigningKey } from '@weft-db/engine'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import {
  composeCommit,
  type Header,
  sealCommit,
  sessionId,
  signedBytes,
  type UnsignedCommit,
} from '../../packages/engine/src/commit/commit.ts'
import { encodeMessage } from '../../packages/engine/src/sync/message.ts'

export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest())
const hex = (text: string): string => createHash('sha256').update(text).digest('hex')

const patch = { title: 'Sync that costs the difference', points: 13, done: false } as const

/** Bytes of the patch as one map: what no encoding of a commit can leave out. */
export const patchBytes = encode(new Map(Object.entries(patch))).length

/** Composes the commits of one chain, every one a change of the same item on top of the one before. */
export const composer = (key: SigningKey): ((seq: number, prev: string | null) => UnsignedCommit) => {
  const session = sessionId(key.publicKey, 'anonymous:sample', sha256)
  const policy = { root: { epoch: 0, n: 3, hash: hex('root') }, authority: { epoch: 0, n: 9, hash: hex('authority') } }
  const schema = { name: 'card', version: 1, hash: hex('card') }
  const [network, incarnation, creation] = [hex('network'), hex('incarnation').slice(0, 16), hex('creation')]
  const operations = Object.entries(patch).map(([field, value]) => ({ kind: 'assign', field, value }) as const)
  const salts = sha256(key.publicKey)
  return (seq, prev) => {
    const header: Header = {
      network,
      repository: '/board/roadmap',
      session,
      incarnation,
      seq,
      prev,
      clock: (1_790_000_000_000 + 333 * seq) * 256,
      policy,
      atomic: false,
      extended: false,
    }
    const salt = salts.slice(seq % 20, (seq % 20) + 12)
    return composeCommit(
      header,
      [{ key: '5f0d5c9ea1c7', parents: [prev ?? creation], schema, operations, salt }],
      sha256,
    )
  }
}

/** Signed, the bytes that are stored and sent. */
export const signedChain = async (key: SigningKey, length: number): Promise<Uint8Array[]> => {
  const compose = composer(key)
  const written: Uint8Array[] = []
  let prev: string | null = null
  for (let seq = 0; seq < length; seq++) {
    const unsigned = compose(seq, prev)
    prev = unsigned.id
    written.push(sealCommit(unsigned, await key.sign(signedBytes(unsigned.id))).bytes)
  }
  return written
}

/** What a live push of one commit weighs: what stands beside it is as heavy. */
export const messageBytes = async (key: SigningKey): Promise<number> => {
  const commits = await signedChain(key, 2)
  const message = {
    kind: 'push',
    round: 0,
    last: false,
    unknown: [],
    commits: commits.slice(1),
    certificates: [],
  } as const
  return encode([0, 7, 1, encodeMessage(message)]).length
}
