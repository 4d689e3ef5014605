import { type Channel, type ChannelListener, limits } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { Life } from './life.ts'
import { Network } from './network.ts'
import { type NetworkFaults, soundNetwork } from './wiring.ts'
import { World } from './world.ts'

/** One side of a channel and what it was told, with times. */
class Ear implements ChannelListener {
  readonly channel: Channel
  readonly heard: number[][] = []
  readonly times: number[] = []
  readonly reasons: string[] = []
  drains = 0
  readonly #world: World

  constructor(world: World, channel: Channel) {
    this.#world = world
    this.channel = channel
    channel.listen(this)
  }

  message(bytes: Uint8Array): void {
    this.heard.push([...bytes.subarray(0, 8)])
    this.times.push(this.#world.now)
  }

  drain(): void {
    this.drains++
  }

  closed(reason: string): void {
    this.reasons.push(reason)
  }

  /** The first bytes of the messages, which number them. */
  get order(): number[] {
    return this.heard.map(([first = -1]) => first)
  }
}

const setting = async (seed: string, faults: Partial<NetworkFaults> = {}) => {
  const world = new World(seed)
  const network = new Network(world, { ...soundNetwork, ...faults })
  const [ada, server] = [new Life(world, 'ada'), new Life(world, 'server')]
  const dialled: Ear[] = []
  const accepted: Ear[] = []
  const acceptor = network.acceptor(server)
  acceptor.start((channel) => accepted.push(new Ear(world, channel)))
  const dialer = network.dialer(ada, 'server')
  dialer.start((channel) => dialled.push(new Ear(world, channel)))
  const meet = async (): Promise<[Ear, Ear]> => {
    const count = dialled.length
    await world.run(world.now + 600_000, () => dialled.length > count)
    const [near, far] = [dialled.at(-1), accepted.at(-1)]
    if (dialled.length === count || near === undefined || far === undefined) throw new Error('no channel')
    return [near, far]
  }
  const [near, far] = await meet()
  const pass = (ms: number) => world.run(world.now + ms)
  return { world, network, ada, server, acceptor, dialer, dialled, accepted, near, far, meet, pass }
}

const numbers = (count: number, from = 0): number[] => Array.from({ length: count }, (_, index) => from + index)
const sendAll = (ear: Ear, count: number, from = 0): void => {
  for (const number of numbers(count, from)) ear.channel.send(Uint8Array.of(number, 1, 2, 3))
}
const seeds = ['1', '2', '3', '4', '5', '6', '7', '8']

describe('a channel', () => {
  test.each(seeds)('delivers in order, both ways, whatever the delays (seed %s)', async (seed) => {
    const { near, far, pass, network } = await setting(seed, { delay: 500 })
    for (const start of [0, 50, 100]) {
      sendAll(near, 50, start)
      sendAll(far, 20, start)
      await pass(30)
    }
    await pass(100_000)
    expect(far.order).toEqual(numbers(150))
    expect(near.order).toEqual([...numbers(20), ...numbers(20, 50), ...numbers(20, 100)])
    expect(network.traffic('ada', 'server')).toEqual({ messages: 150, bytes: 600 })
    expect(network.traffic()).toEqual({ messages: 210, bytes: 840 })
  })

  test('what the acceptor sends at once comes behind the hand-over', async () => {
    const world = new World('greeting')
    const network = new Network(world, { ...soundNetwork, delay: 300, reorder: 0.5, duplicate: 0.1 })
    const heard: number[] = []
    for (let index = 0; index < 30; index++) {
      const name = `server ${index}`
      network.acceptor(new Life(world, name)).start((channel) => {
        void new Ear(world, channel)
        channel.send(Uint8Array.of(index))
      })
      network.dialer(new Life(world, `ada ${index}`), name).start((channel) => {
        channel.listen({
          message: ([first = -1]) => heard.push(first),
          drain: () => undefined,
          closed: () => undefined,
        })
      })
    }
    await world.run(10_000)
    expect([...new Set(heard)].sort((left, right) => left - right)).toEqual(numbers(30))
  })

  test('the same seed gives the same times', async () => {
    const run = async (seed: string) => {
      const { near, far, pass, world } = await setting(seed, { delay: 50, drop: 0.1, reorder: 0.2, duplicate: 0.1 })
      sendAll(near, 100)
      await pass(100_000)
      return [world.traceHash(), ...far.times]
    }
    expect(await run('times')).toEqual(await run('times'))
    expect(await run('times')).not.toEqual(await run('other'))
  })

  test('a narrow line buffers, and says once when there is room', async () => {
    const { near, far, pass } = await setting('narrow', { bandwidth: 1000 })
    for (let index = 0; index < 4; index++) near.channel.send(new Uint8Array(limits.frameBytes).fill(index))
    expect(near.channel.buffered).toBe(4 * limits.frameBytes)
    await pass((2.5 * limits.frameBytes) / 1000)
    expect(near.channel.buffered).toBe(2 * limits.frameBytes)
    expect(near.drains).toBe(0)
    await pass(10 * limits.frameBytes)
    expect(near.channel.buffered).toBe(0)
    expect(near.drains).toBe(1)
    expect(far.order).toEqual([0, 1, 2, 3])
    expect(far.times[3]).toBeGreaterThan((4 * limits.frameBytes) / 1000)
  })

  test('messages sent before a close arrive before it', async () => {
    const { near, far, pass } = await setting('close', { bandwidth: 1, delay: 200 })
    sendAll(near, 20)
    near.channel.close('enough')
    expect(near.reasons).toEqual(['enough'])
    await pass(5000)
    expect(far.order).toEqual(numbers(20))
    expect(far.reasons).toEqual(['closed by the peer'])
  })

  test('a message for nobody is a bug that fails the seed', async () => {
    const { world, network } = await setting('nobody')
    network.acceptor(new Life(world, 'deaf')).start(() => undefined)
    network.dialer(new Life(world, 'bob'), 'deaf').start((channel) => {
      void new Ear(world, channel)
      channel.send(Uint8Array.of(1))
    })
    await expect(world.run(10_000)).rejects.toThrow('nobody listens to the channel with bob')
  })
})

describe('faults of messages', () => {
  const arriving = async (faults: Partial<NetworkFaults>): Promise<Ear> => {
    const { near, far, pass, network } = await setting('faults')
    network.faults = { ...network.faults, ...faults }
    sendAll(near, 200)
    await pass(1_000_000)
    return far
  }
  const sorted = (order: number[]): number[] => [...order].sort((left, right) => left - right)

  test('some are dropped, the rest stays in order', async () => {
    const { order } = await arriving({ drop: 0.1 })
    expect(order.length).toBeGreaterThan(150)
    expect(order.length).toBeLessThan(200)
    expect(order).toEqual(sorted(order))
  })

  test('some come twice', async () => {
    const { order } = await arriving({ duplicate: 0.1 })
    expect(order.length).toBeGreaterThan(200)
    expect(sorted([...new Set(order)])).toEqual(numbers(200))
  })

  test('some are overtaken, none is lost', async () => {
    const { order } = await arriving({ reorder: 0.1 })
    expect(order).not.toEqual(numbers(200))
    expect(sorted(order)).toEqual(numbers(200))
  })

  test('some are cut short', async () => {
    const { heard } = await arriving({ truncate: 0.2 })
    expect(heard.length).toBe(200)
    expect(new Set(heard.map((message) => message.length))).toEqual(new Set([0, 1, 2, 3, 4]))
  })

  test('a break loses what is on its way, both sides hear of it, and the dialler comes back', async () => {
    const { near, far, network, meet, accepted } = await setting('break', { delay: 100 })
    sendAll(near, 10)
    network.faults = { ...network.faults, break: 1 }
    near.channel.send(Uint8Array.of(10))
    network.faults = { ...network.faults, break: 0 }
    const [again, there] = await meet()
    expect(near.reasons).toEqual(['broken'])
    expect(far.reasons).toEqual(['broken'])
    expect(far.order).toEqual([])
    expect(again).not.toBe(near)
    expect(accepted.length).toBe(2)
    expect(there.channel.remote).toBe('ada')
  })

  test('an attacker on the wire sees everything and may change, withhold and repeat it', async () => {
    const { near, far, network, pass } = await setting('wire')
    const seen: string[] = []
    network.wire = (from, to, message) => {
      seen.push(`${from}>${to} ${message[0]}`)
      return message[0] === 0 ? [] : [message, message.map((byte) => byte ^ 0x80)]
    }
    sendAll(near, 2)
    await pass(1000)
    expect(seen).toEqual(['ada>server 0', 'ada>server 1'])
    expect(far.order).toEqual([1, 0x81])
  })
})

describe('partitions', () => {
  test('what is sent into a short cut arrives after it, in order', async () => {
    const { near, far, network, pass } = await setting('short', { patience: 1e9, delay: 50 })
    sendAll(near, 5)
    const heal = network.partition(['ada'], ['server'])
    sendAll(near, 5, 5)
    await pass(2000)
    expect(far.order).toEqual([])
    heal()
    sendAll(near, 5, 10)
    await pass(2000)
    expect(far.order).toEqual(numbers(15))
    expect(near.reasons).toEqual([])
  })

  test('a cut can be one way', async () => {
    const { near, far, network, pass } = await setting('one way', { patience: 1e9 })
    const heal = network.partition(['ada'], ['server'], false)
    sendAll(near, 1)
    sendAll(far, 1)
    await pass(1000)
    expect([near.order, far.order]).toEqual([[0], []])
    heal()
    heal()
    await pass(1000)
    expect(far.order).toEqual([0])
  })

  test('cuts add up: only the last heal opens the way', async () => {
    const { near, far, network, pass } = await setting('twice', { patience: 1e9 })
    const [first, second] = [network.cut('ada', 'server'), network.clog('ada', 'server')]
    sendAll(near, 1)
    first()
    await pass(1000)
    expect(far.order).toEqual([])
    second()
    await pass(1000)
    expect(far.order).toEqual([0])
    const [third] = [network.cut('ada', 'server'), network.cut('ada', 'server')]
    third()
    third()
    expect(network.isCut('ada', 'server')).toBe(true)
    network.heal()
    expect(network.isBlocked('ada', 'server')).toBe(false)
  })

  test('in a long one both ends give up and the dialler gets through only after it', async () => {
    const { near, far, network, meet, pass, dialled } = await setting('long', { patience: 1000 })
    const heal = network.partition(['ada'], ['server'])
    await pass(60_000)
    expect([near.reasons, far.reasons]).toEqual([['timed out'], ['timed out']])
    expect(dialled.length).toBe(1)
    heal()
    const [again, there] = await meet()
    sendAll(again, 3)
    await pass(1000)
    expect(there.order).toEqual(numbers(3))
  })

  test('an end that gave up alone tells the other after the heal', async () => {
    const { near, far, network, pass } = await setting('half', { patience: 1e9 })
    const heal = network.partition(['ada'], ['server'])
    near.channel.close('bored')
    await pass(10_000)
    expect(far.reasons).toEqual([])
    heal()
    await pass(1000)
    expect(far.reasons).toEqual(['closed by the peer'])
  })

  test('a clog holds messages, which count as buffered, and nothing times out', async () => {
    const { near, far, network, pass } = await setting('clog', { patience: 1 })
    const undo = network.clog('ada', 'server')
    for (let index = 0; index < 3; index++) near.channel.send(new Uint8Array(limits.frameBytes).fill(index))
    await pass(100_000)
    expect(near.channel.buffered).toBe(3 * limits.frameBytes)
    expect(near.reasons).toEqual([])
    undo()
    await pass(1000)
    expect(far.order).toEqual([0, 1, 2])
    expect(near.channel.buffered).toBe(0)
    expect(near.drains).toBe(1)
  })
})

describe('processes on the network', () => {
  test('a killed process is told to its peer behind what it had sent', async () => {
    const { near, far, ada, pass, dialled } = await setting('kill', { delay: 50 })
    sendAll(near, 5)
    ada.end()
    sendAll(near, 5, 5)
    await pass(60_000)
    expect(far.order).toEqual(numbers(5))
    expect(far.reasons).toEqual(['reset by the peer'])
    expect(near.reasons).toEqual([])
    expect(dialled.length).toBe(1)
  })

  test('or is not told at all', async () => {
    const { far, ada, pass } = await setting('silent', { silentDeath: 1 })
    ada.end()
    await pass(1_000_000)
    expect(far.reasons).toEqual([])
  })

  test('a dialler waits ever longer for a server that is away, and finds its next process', async () => {
    const { world, network, near, server, meet, accepted } = await setting('restart', { silentDeath: 0 })
    server.end()
    await world.run(world.now + 60_000)
    expect(near.reasons).toEqual(['reset by the peer'])
    const dials = world.lines().filter((line) => line.endsWith('ada>server dial')).length
    expect(dials).toBeGreaterThan(6)
    expect(dials).toBeLessThan(20)
    network.acceptor(new Life(world, 'server')).start((channel) => accepted.push(new Ear(world, channel)))
    const [again, there] = await meet()
    expect(again.channel.initiator).toBe(true)
    expect(there.channel.initiator).toBe(false)
  })

  test('a frozen process gets its messages when it thaws', async () => {
    const { near, far, server, pass, world } = await setting('freeze')
    server.freeze()
    sendAll(near, 5)
    await pass(5000)
    expect(far.order).toEqual([])
    server.thaw()
    const thawed = world.now
    await pass(0)
    expect(far.order).toEqual(numbers(5))
    expect(far.times).toEqual(Array.from({ length: 5 }, () => thawed))
  })

  test('a dial to a process that is frozen and then killed does not hang', async () => {
    const { world, network, near, server, meet, accepted, pass } = await setting('frozen dial')
    near.channel.close('again')
    server.freeze()
    await pass(5000)
    expect(accepted.length).toBe(1)
    server.end()
    network.acceptor(new Life(world, 'server')).start((channel) => accepted.push(new Ear(world, channel)))
    await meet()
  })

  test.each(seeds)('a link that breaks before its dialler has it is dialled again (seed %s)', async (seed) => {
    const { world, network, near, meet, accepted } = await setting(seed, { delay: 100 })
    near.channel.close('again')
    for (const count of [2, 3, 4]) {
      await world.run(world.now + 60_000, () => accepted.length === count)
      expect(accepted.length).toBe(count)
      network.breakLinks('ada', 'server')
    }
    await meet()
  })

  test.each(seeds)('kills, breaks and stops at any moment of a dial leave no end behind (seed %s)', async (seed) => {
    const { world, network, dialer, ada, acceptor } = await setting(seed, { delay: 30, refuse: 0.2, newAddress: 0.5 })
    const draws = world.stream('moments')
    for (let index = 0; index < 60; index++) {
      const time = draws.unit() * 30_000
      world.when(time, 'break', () => network.breakLinks('ada', 'server'))
      const bob = new Life(world, `bob${index}`)
      const bobs = network.dialer(bob, 'server')
      world.when(time, 'dial', () => bobs.start((channel) => void new Ear(world, channel)))
      const after = time + draws.unit() * 150
      if (draws.chance(0.5)) world.when(after, 'kill', () => bob.end())
      else world.when(after, 'stop', () => void bobs.stop())
    }
    await world.run(40_000)
    void dialer.stop()
    void acceptor.stop()
    await world.run(50_000)
    expect(network.links).toBe(0)
    expect(ada.alive).toBe(true)
  })

  test('a dialler may come back under another address', async () => {
    const { network, meet, far } = await setting('address')
    expect(far.channel.remote).toBe('ada')
    network.faults = { ...network.faults, newAddress: 1 }
    network.breakLinks('ada', 'server')
    const [, there] = await meet()
    expect(there.channel.remote).toBe('ada:1')
  })

  test('a stopped transport closes what it has and makes no more', async () => {
    const { dialer, near, far, pass, dialled } = await setting('stop')
    let stopped = false
    void dialer.stop().then(() => {
      stopped = true
    })
    await pass(100_000)
    expect(stopped).toBe(true)
    expect(near.reasons).toEqual(['stopped'])
    expect(far.reasons).toEqual(['closed by the peer'])
    expect(dialled.length).toBe(1)
  })
})
