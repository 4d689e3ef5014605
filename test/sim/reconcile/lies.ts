/** What a peer that lies says instead of what its machine says. */

import { salted } from '../../../packages/engine/src/sync/fingerprint.ts'
import type { Message } from '../../../packages/engine/src/sync/message.ts'
import { prime } from '../../../packages/engine/src/sync/sums.ts'
import { hash } from '../../sync/pair.ts'
import type { Stream } from '../random.ts'
import type { Link, Tamper } from './channels.ts'

export const lies = ['cursor', 'equal', 'sums', 'vector', 'filter', 'moved', 'withholds', 'silent', 'rest'] as const
export type Lie = (typeof lies)[number]

/** Lies told by one side of a link; `told` hears of each. */
export const lying =
  (liar: 0 | 1, kinds: readonly Lie[], random: Stream, told: (lie: Lie) => void): Tamper =>
  (message, from, link) => {
    if (from !== liar || !random.chance(0.7)) return [message]
    for (const kind of kinds) {
      const said = lieOf[kind](message, link, random, from)
      if (said === undefined) continue
      told(kind)
      return said
    }
    return [message]
  }

const randomSums = (random: Stream, count: number): Uint32Array =>
  Uint32Array.from({ length: count }, () => random.int(prime))

/** The other side's own fingerprint, said back to it. */
const theirFingerprint = (link: Link, from: number): Uint8Array =>
  salted(link.salt, link.ends[from === 0 ? 1 : 0].fingerprint(), hash)

const lieOf: Record<
  Lie,
  (message: Message, link: Link, random: Stream, from: number) => readonly Message[] | undefined
> = {
  cursor: (message, link, random) => {
    const place = random.int(2 * link.ends[1].count() + 2)
    const cursor = {
      place,
      hash: (random.chance(0.5) ? link.ends[1].prefixHash(place) : undefined) ?? random.bytes(4),
    }
    if (message.kind === 'hello' && message.sketch !== undefined) return [{ ...message, sketch: cursor }]
    if (message.kind === 'fingerprint' && message.cursor !== undefined) return [{ ...message, cursor }]
    return undefined
  },
  equal: (message, link, _, from) => {
    if (message.kind === 'hello') return [{ ...message, fingerprint: theirFingerprint(link, from) }]
    if (message.kind === 'fingerprint' && message.fingerprint !== undefined)
      return [{ ...message, fingerprint: undefined, cursor: { place: 1, hash: new Uint8Array(4) } }]
    return undefined
  },
  sums: (message, _, random) => {
    const sums = randomSums(random, random.pick([0, 7, 32, 64, 256]))
    if (message.kind === 'sums') return [{ ...message, sums }]
    if (message.kind === 'vector') return [{ kind: 'sums', round: message.round, sums }]
    if (message.kind === 'hello' && message.sketch instanceof Uint32Array)
      return [{ ...message, sketch: randomSums(random, 32) }]
    return undefined
  },
  vector: (message, _, random) => {
    if (message.kind === 'sums') return [{ kind: 'vector', round: message.round, bits: random.bytes(random.int(300)) }]
    return message.kind === 'vector'
      ? [{ ...message, bits: message.bits.map((byte) => byte ^ random.int(2)) }]
      : undefined
  },
  filter: (message, _, random) =>
    message.kind === 'filter'
      ? [{ ...message, filter: { ...message.filter, bits: message.filter.bits.map(() => random.pick([0, 255])) } }]
      : undefined,
  moved: (message, _, random) => {
    if (message.kind !== 'moved') return undefined
    const behind = Array.from({ length: random.int(5) }, () => ({
      key: random.int(prime),
      held: 1 + random.int(9),
      id: '00112233',
    }))
    return [{ ...message, behind, rest: [...randomSums(random, random.int(20))], pushes: random.chance(0.5) }]
  },
  withholds: (message) => (message.kind === 'push' ? [{ ...message, commits: [] }] : undefined),
  silent: (message) => (message.kind === 'hello' ? undefined : []),
  rest: (message) => (message.kind === 'hello' || message.kind === 'push' ? undefined : [{ kind: 'rest', round: 1 }]),
}
