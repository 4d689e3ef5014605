/**
 * Puts a plan on stage: devices and a network made as it says, its events on the agenda of the world. What a replica is and what an
 * edit does, the cast says.
 */
import { Device } from './device.ts'
import { soundDisk } from './files.ts'
import { Network } from './network.ts'
import type { Plan, PlanEvent } from './plan.ts'
import { Signatures } from './signatures.ts'
import { soundNetwork } from './wiring.ts'
import { World, type WorldOptions } from './world.ts'

export interface Cast {
  /** Starts a replica on a device that is off: with `device.boot()`. */
  boot(device: Device): void
  /** Does some work on a device that is on; `draw` seeds what. */
  edit(device: Device, item: number, draw: number): void
}

export class Stage {
  readonly plan: Plan
  readonly world: World
  readonly network: Network
  readonly signatures: Signatures
  readonly devices: ReadonlyMap<string, Device>
  #cast: Cast | undefined
  #calm = false

  constructor(plan: Plan, options?: WorldOptions) {
    this.plan = plan
    this.world = new World(plan.seed, options)
    this.network = new Network(this.world, plan.network)
    this.signatures = new Signatures(plan.signatures, this.world.stream('signatures'))
    this.devices = new Map(
      plan.nodes.map((node) => [node.name, new Device(this.world, node.name, this.signatures, node)]),
    )
  }

  device(name: string): Device {
    const device = this.devices.get(name)
    if (device === undefined) throw new Error(`the plan has no node ${name}`)
    return device
  }

  /** Boots every device when the world begins and schedules the events of the plan. */
  open(cast: Cast): void {
    this.#cast = cast
    for (const device of this.devices.values()) this.world.at(0, `${device.name} boots`, () => this.#boot(device))
    for (const event of this.plan.events) {
      const { at: _at, kind, ...rest } = event
      this.world.when(event.at, `plan ${kind} ${JSON.stringify(rest)}`, () => this.#happen(event))
    }
  }

  /**
   * Ends what goes wrong, for the question whether everything is well in the end: the lines heal, faults stop, clocks stay wrong but
   * jump no more, processes thaw, devices that are off boot. A full disk has room again.
   */
  calm(): void {
    this.#calm = true
    this.network.faults = {
      ...soundNetwork,
      least: this.plan.network.least,
      delay: Math.min(10, this.plan.network.delay),
    }
    this.network.heal()
    for (const device of this.devices.values()) {
      const { latency, syncLatency } = device.disk.faults
      device.disk.faults = { ...soundDisk, latency, syncLatency }
      device.disk.breakStaleLock()
      device.thaw()
      this.#boot(device)
    }
  }

  #boot(device: Device): void {
    if (!device.on) this.#cast?.boot(device)
  }

  #bootAfter(device: Device, off: number): void {
    this.world.at(off, `${device.name} boots`, () => this.#boot(device))
  }

  #happen(event: PlanEvent): void {
    if (event.kind === 'partition') {
      const heal = this.network.partition(event.left, event.right, event.both)
      this.world.at(event.lasts, 'plan partition ends', heal)
    } else if (event.kind === 'clog') {
      const undo = this.network.clog(event.from, event.to)
      this.world.at(event.lasts, `plan clog ends ${event.from}>${event.to}`, undo)
    } else if (event.kind === 'break') this.network.breakLinks(event.one, event.other)
    else this.#befall(this.device(event.node), event)
  }

  /** What happens to one device. */
  #befall(device: Device, event: Extract<PlanEvent, { node: string }>): void {
    if (event.kind === 'edit') {
      if (device.on) this.#cast?.edit(device, event.item, event.draw)
    } else if (event.kind === 'crash') {
      if (!device.on) return
      device.crash({ cache: event.cache, lock: event.lock })
      this.#bootAfter(device, event.off)
    } else if (event.kind === 'wipe') {
      device.wipe()
      this.#bootAfter(device, event.off)
    } else if (event.kind === 'freeze') {
      device.freeze()
      this.world.at(event.lasts, `${device.name} thaws`, () => device.thaw())
    } else if (event.kind === 'fill') {
      const { disk } = device
      const { capacity } = disk.faults
      disk.faults = { ...disk.faults, capacity: Math.min(capacity ?? Number.POSITIVE_INFINITY, disk.used + event.room) }
      this.world.at(event.lasts, `${device.name} has room again`, () => {
        if (!this.#calm) disk.faults = { ...disk.faults, capacity }
      })
    } else if (event.kind === 'jump') device.clock.jump(event.by)
    else if (event.kind === 'drift') device.clock.setDrift(event.drift)
    else if (event.kind === 'rot') device.disk.rot()
    else device.disk.dropCache()
  }
}
