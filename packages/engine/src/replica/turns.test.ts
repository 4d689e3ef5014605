/** One bringer after the other, with time in hand. */
import { describe, expect, test } from 'vitest'
import { type Bringer, type Taken, Turns } from './turns.ts'

const path = '/board/roadmap'

class Peer implements Bringer {
  readonly paths = new Map<string, Taken>()
  isLevel = false
  isAnswered = false

  reconciler(): { readonly isLevel: boolean } {
    return this
  }
}

const scene = (count: number) => {
  const timers: { at: number; run: () => void }[] = []
  let now = 0
  const held = { commits: { size: 0 }, log: { next: 0 } }
  const repository: Taken = { path, pipeline: held }
  const runtime = {
    elapsed: () => now,
    timer: (after: number, run: () => void) => {
      const timer = { at: now + after, run }
      timers.push(timer)
      return () => void timers.splice(timers.indexOf(timer), 1)
    },
  }
  const turns = new Turns(runtime, repository)
  const peers = Array.from({ length: count }, () => new Peer())
  const come = (peer: Peer): void => {
    peer.paths.set(path, repository)
    void turns.next(peer).then(() => {
      peer.isAnswered = true
    })
  }
  /** `every`: what goes on meanwhile, at every 50 ms. */
  const run = async (ms: number, every = (): void => undefined): Promise<void> => {
    for (const until = now + ms; now < until; ) {
      now += 50
      every()
      for (const timer of timers.filter(({ at }) => at <= now)) {
        timers.splice(timers.indexOf(timer), 1)
        timer.run()
      }
      await Promise.resolve()
      await Promise.resolve()
    }
  }
  const answered = (): boolean[] => peers.map(({ isAnswered }) => isAnswered)
  return { turns, peers, come, run, answered, bring: () => held.commits.size++, timers }
}

describe('what is being taken back is brought', () => {
  test('by the first who comes, and by the next when that one is level', async () => {
    const { peers, come, run, answered, bring } = scene(3)
    for (const peer of peers) come(peer)
    await run(6_000, bring)
    expect(answered()).toEqual([true, false, false])
    for (const [place, peer] of peers.entries()) {
      peer.isLevel = true
      await run(100)
      expect(answered()).toEqual([true, true, place > 0])
    }
  })

  test('by the next when who has the turn goes, and not by who went before it was theirs', async () => {
    const { peers, come, run, answered, bring } = scene(3)
    for (const peer of peers) come(peer)
    for (const peer of peers.slice(0, 2)) peer.paths.clear()
    await run(50, bring)
    expect(answered()).toEqual([true, true, true])
  })

  test('by everybody, once three stalled for 2 s each', async () => {
    const { peers, come, run, answered } = scene(6)
    for (const peer of peers) come(peer)
    await run(1_950)
    expect(answered()).toEqual([true, false, false, false, false, false])
    await run(50)
    expect(answered()).toEqual([true, true, false, false, false, false])
    await run(2_000)
    expect(answered()).toEqual([true, true, true, false, false, false])
    await run(2_000)
    expect(answered()).toEqual([true, true, true, true, true, true])
    const late = new Peer()
    come(late)
    await run(0)
    await Promise.resolve()
    expect(late.isAnswered).toBe(true)
  })

  test('for 30 s at most by one, however much that one has', async () => {
    const { peers, come, run, answered, bring } = scene(3)
    for (const peer of peers) come(peer)
    await run(29_950, bring)
    expect(answered()).toEqual([true, false, false])
    await run(50, bring)
    expect(answered()).toEqual([true, true, false])
  })

  test('by nobody who would wait when that is over, and no timer is left', async () => {
    const { turns, peers, come, run, answered, timers } = scene(3)
    for (const peer of peers) come(peer)
    turns.end()
    await run(50)
    expect([answered(), timers.length]).toEqual([[true, true, true], 0])
  })

  test('by who names it anew, whose turn it is already, or who waits', async () => {
    const { peers, come, run, answered } = scene(2)
    const [first, second] = peers
    if (first === undefined || second === undefined) throw new Error('nobody')
    come(first)
    come(second)
    await run(50)
    first.isAnswered = false
    for (const peer of peers) come(peer)
    await run(50)
    // The earlier question of the second one is over as well.
    expect(answered()).toEqual([true, true])
  })
})
