import { describe, expect, test } from 'vitest'
import { type Event, EventHeap } from './heap.ts'
import { Life } from './life.ts'
import { stream } from './random.ts'
import { Failure, World } from './world.ts'

describe('the heap', () => {
  test.each(['1', '2', '3', '4', '5'])(
    'gives events by time, then by sequence, and no cancelled one (seed %s)',
    (seed) => {
      const draws = stream(seed, 'heap')
      const heap = new EventHeap()
      const waiting = new Set<Event>()
      const order = (left: Event, right: Event): number => left.time - right.time || left.sequence - right.sequence
      for (let sequence = 0; sequence < 5000; sequence++) {
        const event: Event = { time: draws.int(40), sequence, label: '', run: () => undefined }
        heap.push(event)
        waiting.add(event)
        if (draws.chance(0.6)) {
          const cancelled = draws.pick([...waiting])
          heap.cancel(cancelled)
          heap.cancel(cancelled)
          waiting.delete(cancelled)
        }
        if (draws.chance(0.1)) {
          const first = [...waiting].sort(order)[0]
          expect(heap.pop()).toBe(first)
          if (first !== undefined) waiting.delete(first)
        }
        expect(heap.size).toBe(waiting.size)
      }
      for (const event of [...waiting].sort(order)) expect(heap.pop()).toBe(event)
      expect(heap.pop()).toBeUndefined()
    },
  )
})

/** Draws decide what is scheduled, from within events and microtasks alike. */
const busy = async (seed: string, until?: number): Promise<World> => {
  const world = new World(seed, { keep: 10_000, ...(until === undefined ? {} : { until }) })
  const draws = world.stream('work')
  const work = async (depth: number): Promise<void> => {
    await Promise.resolve()
    if (depth > 6) return
    for (let index = draws.int(3); index >= 0; index--) {
      world.at(draws.exponential(10), `work ${depth}`, () => void work(depth + 1))
    }
  }
  world.at(0, 'start', () => void work(0))
  await world.run(1000)
  return world
}

const failure = async (run: Promise<unknown>): Promise<Failure> => {
  const error = await run.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof Failure) return error
  throw new Error(`expected a failure, got ${String(error)}`)
}

describe('a world', () => {
  test('the same seed gives the same trace, another seed another', async () => {
    const [first, again, other] = [await busy('7'), await busy('7'), await busy('8')]
    expect(first.steps).toBeGreaterThan(20)
    expect(again.traceHash()).toBe(first.traceHash())
    expect(again.lines()).toEqual(first.lines())
    expect(other.traceHash()).not.toBe(first.traceHash())
  })

  test('the trace is made of times and labels', async () => {
    const trace = async (time: number, label: string): Promise<string> => {
      const world = new World('trace')
      world.at(time, label, () => undefined)
      await world.run(10)
      return world.traceHash()
    }
    expect(await trace(1, 'a')).toBe(await trace(1, 'a'))
    expect(new Set([await trace(1, 'a'), await trace(2, 'a'), await trace(1, 'b')]).size).toBe(3)
  })

  test('runs events in the order of their times, and of their scheduling at one time', async () => {
    const world = new World('order')
    const seen: string[] = []
    for (const [label, time] of [
      ['c', 5],
      ['a', 1],
      ['d', 5],
      ['b', 1],
      ['e', 9],
    ] as const) {
      world.when(time, label, () => seen.push(`${label}${world.now}`))
    }
    expect(await world.run(8)).toBe('time')
    expect(seen).toEqual(['a1', 'b1', 'c5', 'd5'])
    expect(world.now).toBe(8)
    await world.run(9)
    expect(seen.at(-1)).toBe('e9')
  })

  test('microtasks come to rest before the next event', async () => {
    const world = new World('micro')
    const seen: string[] = []
    world.at(1, 'first', () => {
      void (async () => {
        for (let index = 0; index < 50; index++) await Promise.resolve()
        seen.push('settled')
      })()
    })
    world.at(1, 'second', () => seen.push('second'))
    await world.run(1)
    expect(seen).toEqual(['settled', 'second'])
  })

  test('a cancelled event leaves no mark', async () => {
    const world = new World('cancel')
    const cancel = world.at(1, 'never', () => expect.unreachable())
    world.at(0.5, 'cancels', cancel)
    await world.run(2)
    expect(world.steps).toBe(1)
    expect(world.lines().join()).not.toContain('never')
  })

  test('a replay stops before the step it was asked for', async () => {
    const whole = await busy('9')
    const part = await busy('9', 10)
    expect(part.steps).toBe(10)
    expect(whole.lines().slice(0, 10)).toEqual(part.lines())
  })

  test('stops when what is waited for is true', async () => {
    const world = new World('met')
    let count = 0
    const tick = (): void => {
      count++
      world.at(10, 'tick', tick)
    }
    tick()
    expect(await world.run(1000, () => count === 4)).toBe('met')
    expect(world.now).toBe(30)
  })

  test('a throw in an event fails the seed and names the place', async () => {
    const world = new World('thrown')
    world.at(5, 'fine', () => undefined)
    world.at(1500, 'breaks', () => {
      throw new Error('broken')
    })
    const found = await failure(world.run(9000))
    expect(found.message).toContain('breaks: broken seed=thrown step=2 t=1.500s')
    expect(found.message).toContain('--seed thrown --until 2 --log')
    expect(found.lines.length).toBe(2)
  })

  test('an unhandled rejection fails the seed, a handled one does not', async () => {
    const world = new World('rejected')
    world.at(1, 'handled', () => {
      void Promise.reject(new Error('handled')).catch(() => undefined)
    })
    world.at(2, 'unhandled', () => {
      void (async () => {
        await Promise.resolve()
        throw new Error('nobody cares')
      })()
    })
    const listeners = process.listeners('unhandledRejection')
    const found = await failure(world.run(9))
    expect(found.message).toContain('unhandled rejection after unhandled: nobody cares')
    expect(found.step).toBe(2)
    expect(process.listeners('unhandledRejection')).toEqual(listeners)
  })

  test('checks run after every event, or after every so many, and their throw fails the seed', async () => {
    const world = new World('checks')
    let [each, third, value] = [0, 0, 0]
    for (let index = 0; index < 9; index++) {
      world.at(index, 'counts', () => {
        value++
      })
    }
    world.check('each', () => {
      each++
    })
    world.check(
      'third',
      async () => {
        await Promise.resolve()
        third++
      },
      3,
    )
    world.check('small', async () => {
      await Promise.resolve()
      if (value > 7) throw new Error(`${value} is too much`)
    })
    const found = await failure(world.run(100))
    expect(found.message).toContain('small: 8 is too much')
    expect([each, third]).toEqual([8, 2])
  })

  test('a check that waits for virtual time is told off instead of hanging', async () => {
    const world = new World('waits')
    world.at(1, 'event', () => undefined)
    world.check('patient', () => new Promise((resolve) => world.at(1, 'later', resolve)))
    expect((await failure(world.run(10))).message).toContain('patient: the check waits for virtual time')
  })

  test('going round without time passing fails the seed', async () => {
    const world = new World('round', { stepLimit: 1000 })
    const spin = (): void => void world.at(0, 'spin', spin)
    spin()
    expect((await failure(world.run(10))).message).toContain('too many steps')
  })

  test('two worlds at once are refused', async () => {
    const [one, other] = [new World('one'), new World('other')]
    one.at(1, 'event', () => undefined)
    const running = one.run(10)
    await expect(other.run(10)).rejects.toThrow('one world runs at a time')
    await running
    await other.run(10)
  })
})

describe('a life', () => {
  test('its events die with it', async () => {
    const world = new World('life')
    const life = new Life(world, 'ada')
    const seen: string[] = []
    life.at(1, 'before', () => seen.push('before'))
    life.at(3, 'after', () => seen.push('after'))
    life.onEnd(() => seen.push('end'))
    life.onEnd(() => seen.push('forgotten'))()
    world.at(2, 'kill', () => life.end())
    await world.run(10)
    life.end()
    expect(seen).toEqual(['before', 'end'])
  })

  test('a frozen life gets everything later, in order, before what comes after the thaw', async () => {
    const world = new World('freeze')
    const life = new Life(world, 'ada')
    const seen: string[] = []
    for (const time of [1, 2, 3, 5]) life.when(time, `at ${time}`, () => seen.push(`${time}@${world.now}`))
    const cancel = life.when(2.5, 'cancelled', () => seen.push('cancelled'))
    world.at(1.5, 'freeze', () => life.freeze())
    world.when(5, 'thaw', () => life.thaw())
    life.when(5, 'same moment', () => seen.push(`6@${world.now}`))
    life.when(6, 'later', () => seen.push(`7@${world.now}`))
    world.at(4, 'cancel', cancel)
    await world.run(10)
    expect(seen).toEqual(['1@1', '2@5', '3@5', '5@5', '6@5', '7@6'])
    expect(life.frozen).toBe(false)
  })

  test('what came while it was frozen is lost if it ends', async () => {
    const world = new World('frozen end')
    const life = new Life(world, 'ada')
    life.freeze()
    life.at(1, 'never', () => expect.unreachable())
    world.at(2, 'kill', () => life.end())
    world.at(3, 'thaw', () => life.thaw())
    await world.run(10)
    expect(life.alive).toBe(false)
  })
})
