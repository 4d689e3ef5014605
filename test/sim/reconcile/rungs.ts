/** Which rungs of the ladder a meeting stood on, told from what was said, and what must be met now and then or a campaign shows nothing about it. */

import type { Said } from './channels.ts'
import { lies } from './lies.ts'

export const rungs = [
  'equal at hello',
  'cursor accepted',
  'cursor refused',
  '7 sums in hello',
  '32 sums in hello',
  'sums of the hello settled by the follower',
  'sums settled by the leader',
  '64 sums',
  '256 sums',
  'vector of the follower',
  'vector of the leader',
  'no sums: a filter is asked for',
  'filter',
  'third filter round or later',
  'exact filter',
  'clone to the leader',
  'clone to the follower',
  'rest',
  'live push',
  'comparison when level',
  'filters alone on one side',
  'filters alone on both sides',
  'fork',
  'fork of a thousand branches',
  'names and ids mined',
  'digests alike',
  'restored from an old backup',
  'channel lost',
  'message twice',
  'wrong hint',
  'held: refused for good',
  'held: waits for ever',
  'refused for a while',
  'a liar reforms',
  ...lies.map((lie) => `lie: ${lie}` as const),
] as const
export type Rung = (typeof rungs)[number]

const isSums = (sketch: unknown): sketch is Uint32Array => sketch instanceof Uint32Array

/** `said` in order, over one channel. */
export const rungsOf = (said: readonly Said[]): ReadonlySet<Rung> => {
  const seen = new Set<Rung>()
  const by = (side: number) => said.filter(({ from }) => from === side).map(({ message }) => message)
  const [leader, follower] = [by(0), by(1)]
  const hellos = said.flatMap(({ message }) => (message.kind === 'hello' ? [message] : []))
  const [first] = leader
  const [, answer] = follower
  if (hellos.length === 2 && said.length === 2) seen.add('equal at hello')
  if (first?.kind === 'hello' && first.sketch !== undefined) {
    const { sketch } = first
    if (isSums(sketch)) seen.add(sketch.length === 7 ? '7 sums in hello' : '32 sums in hello')
    if (answer?.kind === 'moved')
      seen.add(isSums(sketch) ? 'sums of the hello settled by the follower' : 'cursor accepted')
    if (answer?.kind === 'sums' && !isSums(sketch)) seen.add('cursor refused')
  }
  if (follower.some(({ kind }) => kind === 'sums') && leader.some(({ kind }) => kind === 'moved'))
    seen.add('sums settled by the leader')
  let filters = 0
  for (const { from, message } of said) {
    if (message.kind === 'sums') {
      if (message.sums.length === 64) seen.add('64 sums')
      if (message.sums.length === 256) seen.add('256 sums')
      if (message.sums.length === 0) seen.add('no sums: a filter is asked for')
    } else if (message.kind === 'vector') seen.add(from === 0 ? 'vector of the leader' : 'vector of the follower')
    else if (message.kind === 'filter') {
      seen.add('filter')
      if (message.filter.bits.length === 0) seen.add('exact filter')
      if (from === 0 && ++filters === 3) seen.add('third filter round or later')
    } else if (message.kind === 'rest') seen.add('rest')
    else if (message.kind === 'push' && message.round === 0) seen.add('live push')
  }
  for (const [at, hello] of hellos.entries()) {
    const other = hellos[1 - at]
    if (other === undefined || !hello.empty || other.empty) continue
    seen.add(hello === first ? 'clone to the leader' : 'clone to the follower')
  }
  return seen
}
