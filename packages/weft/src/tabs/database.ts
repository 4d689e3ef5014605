/**
 * The database of a tab, the same for an app whether the tab leads or works through the one that does: what a tab cannot do itself goes to
 * the leader, and what it says of itself is what is true of the browser.
 */
import {
  type Credentials,
  Database,
  type DatabaseOptions,
  type LoginOutcome,
  type Request,
  type Status,
  WeftError,
} from '@weft-db/engine'
import type { Tidings } from './messages.ts'
import type { Tab } from './tab.ts'

/** How long a logout, or the end of the tab, waits for the leader to store what was written here, ms. */
const handOverTime = 2_000

export class TabDatabase extends Database {
  readonly #tab: Tab
  /** Commits that the leader was asked to keep. */
  readonly #asked = new Set<string>()
  #closing: Promise<void> | undefined
  #shown: { readonly own: Status; readonly tidings: Tidings | undefined; readonly status: Status } | undefined

  constructor(options: Omit<DatabaseOptions, 'storage' | 'transports'>, tab: Tab) {
    super({ ...options, storage: () => tab.storage(), transports: [tab.transport] })
    this.#tab = tab
    super.onStatus(() => this.#askToKeep())
    tab.seat({
      database: this,
      login: (login) => super.login(login),
      logout: (discard) => super.logout({ discard }),
      request: (request) => super.ask(request),
      connect: (online) => tab.online(online),
      told: (tidings) => this.#told(tidings),
      changed: () => this.progress(),
      handOver: () => this.#handOver(handOverTime),
      deposed: () => this.mesh.leave(),
    })
  }

  override get isBehind(): boolean {
    return this.#tab.isBehind
  }

  override get lasting(): boolean {
    return this.isBehind ? (this.#tab.tidings?.lasting ?? true) : super.lasting
  }

  override get status(): Status {
    const own = super.status
    if (!this.isBehind) return own
    const { tidings } = this.#tab
    if (this.#shown?.own !== own || this.#shown.tidings !== tidings)
      this.#shown = { own, tidings, status: this.#statusOf(own, tidings) }
    return this.#shown.status
  }

  /** Of the browser: what the leader has, and what was written here that it does not have yet. */
  #statusOf(own: Status, tidings: Tidings | undefined): Status {
    if (tidings === undefined) return { ...own, storage: 'opening' }
    const { status, repositories } = tidings
    const { unsaved } = own
    let { unacknowledged } = status
    for (const repository of this.repositories) {
      // None where the leader has just begun, and has not opened it yet.
      const counted = repositories.find(({ path }) => path === repository.path)?.unacknowledged ?? 0
      unacknowledged += Math.max(repository.unsaved, repository.unacknowledged - counted)
    }
    return {
      connection: this.#tab.following?.isAttached === true ? status.connection : 'connecting',
      storage: status.storage,
      storageReason: status.storageReason,
      unsaved: status.unsaved + unsaved,
      unacknowledged,
      authStale: status.authStale,
      problem: own.problem ?? status.problem,
    }
  }

  override onStatus(listener: (status: Status) => void): () => void {
    return super.onStatus(() => listener(this.status))
  }

  override get session(): { readonly id: string; readonly name: string } | undefined {
    const own = super.session
    const told = this.isBehind ? this.#tab.tidings?.session : undefined
    return own !== undefined && told?.id === own.id ? told : own
  }

  override get connections(): number {
    return this.isBehind ? (this.#tab.tidings?.connections ?? 0) : super.connections
  }

  /** What comes to this tab came through the leader, which met it too and keeps the proof. */
  override forked(met: Parameters<Database['forked']>[0]): void {
    if (!this.isBehind) super.forked(met)
  }

  override async evidence(): Promise<{ readonly name: string; readonly bytes: Uint8Array }[]> {
    await this.opened
    return this.isBehind ? [...(await this.#follow().insist('evidence', null))] : super.evidence()
  }

  override async login(login: Credentials): Promise<LoginOutcome> {
    await this.opened
    if (!this.isBehind) return super.login(login)
    const { method, credentials, name } = login
    const outcome = await this.#follow().insist('login', {
      method,
      credentials,
      ...(name !== undefined && { name }),
    })
    await this.#follow().settled()
    return outcome
  }

  override async logout({ discard = false }: { discard?: boolean } = {}): Promise<void> {
    await this.opened
    if (!this.isBehind) {
      const { leading } = this.#tab
      return leading === undefined ? super.logout({ discard }) : leading.logout(discard)
    }
    if (!discard) {
      await this.#handOver(handOverTime)
      for (const { path, unsaved } of this.repositories) if (unsaved > 0) throw new WeftError('Unsynced', path)
    }
    await this.#follow().insist('logout', { discard })
    await this.#follow().settled()
  }

  override async ask(request: Request): Promise<void> {
    if (!this.isBehind) return super.ask(request)
    const following = this.#tab.following
    if (following === undefined) throw new WeftError('Unreachable', request.method)
    await following.ask('request', request)
  }

  override async disconnect(): Promise<void> {
    await this.opened
    if (this.isBehind) await this.#follow().insist('connect', { online: false })
    else await this.#tab.online(false)
  }

  override connect(): void {
    if (this.isBehind) this.#tab.following?.insist('connect', { online: true }).catch(() => undefined)
    else this.#tab.online(true).catch(() => undefined)
  }

  override close(): Promise<void> {
    this.#tab.closing()
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const isOpen = await this.opened.then(
      () => true,
      () => false,
    )
    if (isOpen && this.isBehind) await this.#handOver(handOverTime)
    await super.close()
  }

  #follow(): NonNullable<Tab['following']> {
    const { following } = this.#tab
    if (following === undefined) throw new WeftError('Unreachable', 'this tab sleeps')
    return following
  }

  /** The leader told of itself. */
  async #told(tidings: Tidings): Promise<void> {
    await this.opened
    if (!this.isBehind) return
    this.clock.correct(tidings.now)
    const { paths, neighbours, server } = tidings
    this.mesh.mirror({
      paths,
      neighbours,
      server,
      measure: () => void this.#tab.following?.ask('measure', null).catch(() => undefined),
    })
    const own = this.identity?.key.publicKey
    // A leader without the store does not know who is logged in.
    if (own !== undefined && !isEqual(tidings.key, own) && tidings.lasting) await super.logout({ discard: true })
    await this.#adopt(tidings)
    for (const { path, synced, barred } of tidings.repositories) {
      for (const repository of this.repositories) {
        if (repository.path !== path) continue
        repository.synced ||= synced
        repository.bar(barred)
      }
    }
    this.progress()
  }

  async #adopt({ network, key, certificate }: Tidings): Promise<void> {
    if (network === undefined) return
    const own = this.identity?.key.publicKey
    const isSame = key === undefined ? own === undefined : isEqual(own, key)
    const isCertified = certificate === null || isEqual(this.person?.bytes, certificate)
    if (this.network !== undefined && isSame && isCertified) return
    const root = (await this.#tab.following?.ask('root', null)) ?? []
    await this.adopt({ network, root, certificate: key === undefined ? undefined : certificate })
  }

  #askToKeep(): void {
    const { following } = this.#tab
    if (!this.isBehind || following === undefined) return
    for (const repository of this.repositories) {
      for (const id of repository.unkept) {
        if (this.#asked.has(id)) continue
        this.#asked.add(id)
        following
          .insist('keep', { path: repository.path, id })
          // What the leader counts from then on was told before it answered.
          .then(() => following.settled())
          .then(() => repository.kept(id))
          .catch(() => undefined)
          .finally(() => {
            this.#asked.delete(id)
            this.#askToKeep()
          })
      }
    }
  }

  /** Captures all that was edited; resolves when the leader stores it, or when the time is over. */
  async #handOver(time: number): Promise<void> {
    for (const repository of this.repositories) repository.flush()
    const isOver = (): boolean => [...this.repositories].every(({ unsaved }) => unsaved === 0)
    if (isOver()) return
    await new Promise<void>((resolve) => {
      const cancel = this.runtime.timer(time, () => {
        stop()
        resolve()
      })
      const stop = super.onStatus(() => {
        if (!isOver()) return
        stop()
        cancel()
        resolve()
      })
    })
  }
}

const isEqual = (one: Uint8Array | undefined, other: Uint8Array): boolean =>
  one !== undefined && one.length === other.length && one.every((byte, at) => byte === other[at])
