/** A server with landmarks on a disk of their own, which may lose its disk or get an older one back, and what its people see of one board. */
import { create, type DatabaseOptions, grant, type Item, read, saved, write } from '@weft-db/engine'
import { acknowledged } from '../crash/watching.ts'
import type { Disk } from '../sim/files.ts'
import { board, Card, faulty, Lab, outcomeOf, type Replica } from './lab.ts'

export const rules = [
  read('/board/:id', ({ role }) => role !== undefined),
  create('/board/:id', ({ session }) => (session === undefined ? undefined : 'owner')),
  write('/board/:id', ({ role }) => role !== undefined && role !== 'viewer'),
  grant('/board/:id', ({ role }) => role === 'owner'),
]

export const boardOf = ({ database }: Replica) => database.repository(board)
export const titles = (replica: Replica): string[] =>
  (boardOf(replica).query(Card).current ?? []).map((card: Item<typeof Card>) => card.title).sort()
export const codes = ({ incidents }: Replica): string[] => incidents.map(({ code }) => code)
export const ownerOf = ({ database }: Replica): string =>
  database.certificates.get(database.session?.id ?? '')?.owner ?? ''

export class Town {
  readonly lab: Lab
  server!: Replica

  constructor(seed: string) {
    this.lab = new Lab(seed)
  }

  async start(options: Partial<DatabaseOptions> = {}): Promise<Replica> {
    const disk = this.lab.device('landmarks').disk.files()
    const landmarks = faulty(disk, this.lab.faults('authority'), () => undefined)
    this.server = await this.lab.authority({ rules, landmarks, ...options })
    return this.server
  }

  /** The power fails, and nothing of the folder is left. */
  burn(): void {
    this.#fail()
    this.lab.device('authority').wipe()
  }

  #fail(): void {
    this.lab.kill('authority')
    this.lab.device('landmarks').crash()
  }

  /** What is stored now, for `restore`. */
  backup(): Disk {
    return this.lab.device('authority').disk.clone()
  }

  /** The power fails, and the folder gets an older copy. `time`: when that was made, where `weft restore` says so. */
  async restore(backup: Disk, time?: number): Promise<void> {
    const { lab } = this
    this.#fail()
    const { disk } = lab.device('authority')
    disk.restore(backup)
    if (time === undefined) return
    const writing = (async () => {
      const files = disk.files()
      const file = await files.open('restored', true)
      await file?.write(0, new TextEncoder().encode(`${new Date(time).toISOString()}\n`))
      await file?.sync()
      await file?.close()
      await files.syncNames()
    })()
    await lab.run(100)
    await writing
  }

  /** Ends the server, and leaves nothing of its folder. */
  async wipe(): Promise<void> {
    await this.stop()
    this.lab.device('authority').wipe()
  }

  async stop(): Promise<void> {
    const closing = this.server.database.close()
    await this.lab.run(1_000)
    await closing
  }

  /** Writes something, and goes on when the server has acknowledged it. */
  async acknowledged(by: Replica, title: string): Promise<void> {
    const done = outcomeOf(saved(boardOf(by).create(Card, { title }), 'authority'))
    await this.lab.until(() => done.current === 'resolved')
  }

  /** Asks for what the owner of the board asks for. */
  async grant(by: Replica, to: Replica, role: string | null): Promise<void> {
    const done = outcomeOf(boardOf(by).grant(ownerOf(to), role))
    await this.lab.until(() => done.current !== 'pending')
    if (done.current !== 'resolved') throw new Error(`it was refused: ${done.current}`)
  }
}

export const epochsOf = (replica: Replica): number[] => boardOf(replica).pipeline.log.entries.map(({ epoch }) => epoch)

/** Commits that a checkpoint covers, as a replica knows it. */
export const acknowledgedBy = (replica: Replica): Set<string> => acknowledged(boardOf(replica))
