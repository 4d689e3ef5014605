/** Plays a script to its end: the faults, then calm, then everybody killed and started again, and the questions of `invariants.ts`. */

import { StorageError } from '@weft-db/engine'
import { encode } from '../../../packages/engine/src/bytes/cbor.ts'
import { scan } from '../../../packages/engine/src/log/frame.ts'
import { Journal } from '../../../packages/engine/src/replica/journal.ts'
import { Agreement, commitsOf } from '../agreement.ts'
import { Coverage, type Sight } from '../coverage.ts'
import { Invariants } from '../invariants.ts'
import { PeerNetwork } from '../peer-network.ts'
import { Stage } from '../stage.ts'
import { Failure, type WorldOptions } from '../world.ts'
import { boardLog } from './card.ts'
import { Hostile } from './hostile.ts'
import { Ledger } from './ledger.ts'
import { Player } from './player.ts'
import type { Script } from './script.ts'
import { WatchedFiles } from './watched.ts'
import { Work } from './work.ts'

/** ms of virtual time. Calm takes this long where only patience tells that a peer is gone, and then a pause has to end. */
export const calmLimit = 150_000
export const restartLimit = 60_000
const minute = 60_000
const lastComparison = 40_000
/** A mesh in which no channel was made for so long rests, ms: longer than anybody waits who looks for one. So often it may still move. */
const meshRest = 100_000
const mostMoves = 12
/** Beats of one side in a minute, and one more for clocks that run fast. */
const mostBeats = 6
/** More than all jumps of a plan together, less than a certificate's life, ms. */
const manyDays = 12 * 86_400_000

export interface Played {
  readonly events: number
  readonly trace: string
  readonly coverage: Coverage
  /** Virtual ms until all was quiet, after the calm and after the restart. */
  readonly quiet: readonly number[]
}

const sightOf: Readonly<Record<string, Sight>> = {
  Gap: 'a gap noticed',
  Malformed: 'a malformed message refused',
  NotCanonical: 'a malformed message refused',
  BadHash: 'altered content refused',
  BadSignature: 'a forged signature refused',
}

export const play = async (script: Script, options: WorldOptions = {}): Promise<Played> => {
  const stage = new Stage(script.plan, { stepLimit: 400_000, ...options })
  const { world, network } = stage
  const peers = new PeerNetwork(network)
  const coverage = new Coverage()
  const ledger = new Ledger(coverage)
  const players = new Map<string, Player>()
  const invariants = new Invariants(stage, players, ledger, coverage)
  const agreement = new Agreement(players, ledger, coverage)
  const work = new Work(script.plan.seed, ledger, coverage)
  const hostiles = script.hostilities.map((one, index) => new Hostile(one, world.stream(`hostile/${index}`)))
  let killing = false

  for (const device of stage.devices.values()) {
    const player = new Player(device, network, peers, script, {
      incident: (_player, { code, about }) => {
        const sight = sightOf[code]
        if (sight !== undefined) coverage.saw(sight)
        if (code === 'BadSignature' && about.length === 64) coverage.saw('a forged entry refused')
        // Entries are compared before their signature is checked, so a forged one looks like a fork.
        const forged = code === 'LogForked' && script.hostilities.length > 0
        // A guest's replica edits a value that nobody else sees.
        const strange = code === 'Inapplicable' && script.guests.length > 0
        if ((code === 'Inapplicable' || code === 'LogForked' || code === 'ChainForked') && !forged && !strange) {
          invariants.broken(`${device.name} reports ${code} (${about}) among honest replicas`)
        }
      },
      booted: (one) => invariants.booted(one),
      ended: ({ board }) => {
        if (board !== undefined && !board.pipeline.isIdle && !killing) coverage.saw('crash with work under way')
      },
      failed: (_player, error) => {
        if (!(error instanceof StorageError)) throw error
        coverage.saw('opening failed')
      },
      watch: (files) => new WatchedFiles(files, coverage),
    })
    players.set(device.name, player)
  }
  network.wire = (from, to, message, end) => {
    invariants.sent(from, to, message, end)
    return hostiles.reduce<readonly Uint8Array[]>(
      (messages, hostile) => messages.flatMap((one) => hostile.pass(from, to, one, end)),
      [message],
    )
  }
  const playerOn = (name: string): Player => {
    const player = players.get(name)
    if (player === undefined) throw new Error(`no player ${name}`)
    return player
  }
  world.check('after the event', () => invariants.afterEvent())
  world.check('after a crash', () => invariants.afterCrash(), 64)

  const played = (quiet: readonly number[] = []): Played => ({
    events: world.steps,
    trace: world.traceHash(),
    coverage,
    quiet,
  })
  const judge = (what: string, run: () => void): void => {
    try {
      run()
    } catch (error) {
      throw new Failure(`${what}: ${error instanceof Error ? error.message : String(error)}`, world, error)
    }
  }

  stage.open({
    boot: (device) => playerOn(device.name).boot(),
    edit: (device, item, draw) => work.edit(playerOn(device.name), item, draw),
  })
  if ((await world.run(script.plan.duration)) === 'step') return played()

  // Everything heals; what runs goes on running.
  for (const hostile of hostiles) hostile.active = false
  stage.calm()
  for (const { from, to } of script.hostilities) network.breakLinks(from, to)
  const quiet: number[] = []
  const settle = async (limit: number, what: string): Promise<boolean> => {
    const from = world.now
    const ended = await world.run(from + limit, () => agreement.unrest() === undefined)
    if (ended === 'step') return false
    if (ended === 'time') throw new Failure(`${what}: not quiet after ${limit / 1000} s: ${agreement.unrest()}`, world)
    quiet.push(world.now - from)
    // What comes behind the last event, such as an answer to it.
    if ((await world.run(world.now + 3_000)) === 'step') return false
    judge(what, () => agreement.mustAgree())
    return true
  }
  const later = (): void => {
    for (const device of stage.devices.values()) device.clock.jump(manyDays)
  }
  // Where the authority's clock was set back, its own certificates are of a time to come, and so are all changes: time passes.
  const setBack = script.plan.events.some((event) => event.kind === 'jump' && event.node === 'server' && event.by < 0)
  if (setBack) later()
  if (!(await settle(calmLimit, 'after the calm'))) return played()

  // A clock that was ahead holds changes: time passes.
  if (!setBack && agreement.held !== undefined) later()
  killing = true
  for (const device of stage.devices.values()) {
    device.crash({ cache: 'lost', lock: 'released' })
    playerOn(device.name).boot()
  }
  killing = false
  if (!(await settle(restartLimit, 'after a restart of all'))) return played(quiet)
  judge('after a restart of all', () => {
    if (agreement.held !== undefined) throw new Error(agreement.held)
  })

  // Whoever had something to say compares once more, and then there is nothing but that everybody is there.
  if ((await world.run(world.now + lastComparison)) === 'step') return played(quiet)
  // Whoever had more links than it needs gives them up, one in ten seconds or so, and somebody may look for another one then.
  if (script.mesh === true) {
    for (let left = mostMoves, made = -1; made !== peers.made; left--) {
      if (left === 0) throw new Failure('the mesh does not come to rest', world)
      made = peers.made
      if ((await world.run(world.now + meshRest)) === 'step') return played(quiet)
    }
  }
  invariants.idle = true
  const before = new Map(
    [...players.keys()].flatMap((from) =>
      [...players.keys()].map((to) => [`${from}>${to}`, network.traffic(from, to).messages]),
    ),
  )
  if ((await world.run(world.now + minute)) === 'step') return played(quiet)
  invariants.idle = false
  judge('in the minute after', () => {
    for (const from of players.keys()) {
      for (const to of players.keys()) {
        const sent = network.traffic(from, to).messages - (before.get(`${from}>${to}`) ?? 0)
        if (sent > (script.mesh === true ? 2 : 1) * mostBeats) throw new Error(`${from} sent ${sent} messages to ${to}`)
      }
    }
  })

  // The whole history again.
  const server = playerOn('server').board
  if (server === undefined) throw new Failure('the authority is gone', world)
  const commits = commitsOf(server).map(({ bytes }) => bytes)
  const entries = server.pipeline.log.entries.map(({ bytes }) => bytes)
  for (const player of players.values()) {
    const standing = agreement.standing(player)
    const done = { is: false }
    const received = player.board?.pipeline.receive({}, { certificates: [], commits, entries })
    received?.then(() => {
      done.is = true
    })
    if ((await world.run(world.now + minute, () => done.is)) === 'step') return played(quiet)
    judge('delivered again', () => {
      if (!done.is) throw new Error(`${player.name} is not through with it`)
      if (agreement.standing(player) !== standing) throw new Error(`${player.name} changed`)
    })
  }

  // The logs, opened twice.
  for (const device of stage.devices.values()) {
    device.crash({ cache: 'lost', lock: 'released' })
    const clone = device.disk.clone()
    const openings: Buffer[] = []
    const stored = Buffer.from(device.disk.storedFile(boardLog) ?? [])
    for (let round = 0; round < 2; round++) {
      const { journal } = await Journal.open(clone.files(), boardLog, {
        header: encode([]),
        onIncident: () => undefined,
      })
      await journal.close()
      clone.crash()
      openings.push(Buffer.from(clone.storedFile(boardLog) ?? []))
    }
    judge('opened twice', () => {
      for (const opened of openings) {
        if (!opened.equals(stored)) throw new Error(`opening changed the log of ${device.name}`)
      }
      if (scan(stored).torn) throw new Error(`the log of ${device.name} has a torn tail`)
    })
  }
  return played(quiet)
}
