/** The simulated ports keep the contracts that the real ones keep. */
import { nodeRuntime } from '@weft-db/runtime/node'
import { afterAll, beforeAll, describe } from 'vitest'
import { keysContract } from '../contracts/keys.ts'
import { runtimeContract } from '../contracts/runtime.ts'
import { type Pair, transportContract } from '../contracts/transport.ts'
import { Device } from './device.ts'
import { drive } from './drive.ts'
import { Life } from './life.ts'
import { Network } from './network.ts'
import { soundNode } from './plan.ts'
import { Signatures } from './signatures.ts'
import { soundNetwork } from './wiring.ts'
import { World } from './world.ts'

describe.each([0, 0.2])('with signatures that take %d ms', (cryptoDelay) => {
  const world = new World(`contract ${cryptoDelay}`)
  const signatures = new Signatures('real', world.stream('signatures'))
  const device = new Device(world, 'ada', signatures, { ...soundNode('ada', 'browser'), cryptoDelay })
  let stop: () => Promise<void>

  beforeAll(() => {
    stop = drive(world)
  })
  afterAll(() => stop())

  runtimeContract('simulator', () => device.boot().runtime, { node: nodeRuntime })
  keysContract('simulator', device.boot().runtime, () => ({
    keys: device.boot().keys,
    reopen: () => device.boot().keys,
  }))
})

/** A line without end takes everything at once and never drains, so the contract is asked of lines that have one. */
const pairOver = async (bandwidth: number): Promise<Pair> => {
  const world = new World('contract')
  const network = new Network(world, { ...soundNetwork, bandwidth })
  const [near, far] = [new Life(world, 'near'), new Life(world, 'far')]
  const dialer = network.dialer(near, 'far')
  let acceptor = network.acceptor(far)
  let take: Parameters<Pair['start']>[1] = () => undefined
  let others = 0
  let undo: (() => void)[] = []
  const stop = drive(world)
  return {
    async start(onDialled, onAccepted) {
      take = onAccepted
      acceptor.start(take)
      dialer.start(onDialled)
    },
    another: (onDialled) => network.dialer(new Life(world, `other ${others++}`), 'far').start(onDialled),
    leave: () => acceptor.stop(),
    async comeBack() {
      acceptor = network.acceptor(far)
      acceptor.start(take)
    },
    hold() {
      undo = [network.clog('near', 'far'), network.clog('far', 'near')]
    },
    release() {
      for (const unclog of undo) unclog()
    },
    stopDialling: () => dialer.stop(),
    stopAccepting: () => acceptor.stop(),
    end: stop,
  }
}

transportContract('simulator, narrow line', () => pairOver(20_000))
transportContract('simulator, wide line', () => pairOver(5_000_000))
