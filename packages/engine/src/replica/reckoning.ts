/**
 * What counts and what does not, as the authority's logs and the rules have it: applies to what is counted what they say, has it counted
 * again where they came too late, names to this device's person what of theirs will not count, and explains.
 */
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import { type Change, type Commit, clockTicks } from '../commit/commit.ts'
import type { Operation } from '../commit/operation.ts'
import type { MergedItem } from '../merge/item.ts'
import type { ItemState } from '../merge/state.ts'
import type { Schema } from '../schema/schema.ts'
import type { ItemName } from '../sync/recall.ts'
import type { Entry } from '../trust/entry.ts'
import { clockRule, type Rule } from '../trust/rules.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import { type Counted, type Counting, fieldsOf } from './counting.ts'
import { Deaths } from './deaths.ts'
import type { Edit, Judging, Person } from './judging.ts'
import type { LiveItem } from './live.ts'
import type { Pipeline } from './pipeline.ts'
import { type Rejection, Rejections } from './rejections.ts'
import { remake, shownBy } from './remake.ts'
import type { RootLog } from './rootlog.ts'
import type { Saving } from './saving.ts'
import { type ChangedVerdict, whatIf } from './whatif.ts'

export interface ReckoningOptions {
  readonly pipeline: Pipeline
  readonly counting: Counting
  readonly saving: Saving
  readonly judging: Judging
  readonly certificates: Certificates
  readonly root: RootLog
  readonly clock: Clock
  /** Who is logged in here, as rules see it. */
  person(): Person | undefined
  session(): string | undefined
  schema(hash: string): Schema | undefined
  schemaHash(schema: Schema): string
  live(key: string, schema: Schema): LiveItem
  /** The item is another one, and what it showed may have been refused. */
  moved(key: string, schemaHash: string, isRefused: boolean): void
  allMoved(): void
  /** Takes in what moved. */
  refresh(): void
  /** Own commits go on in another chain. */
  restartChain(): void
  /** Content is gone, in memory; what is stored of it has to go. */
  erased(): void
  incident(why: Refusal): void
  rejected(rejection: Rejection): void
}

/** An edit as it would be judged in a commit made now. */
class Planned implements Edit {
  readonly key: string
  readonly schema: Schema
  readonly fields: readonly string[]
  readonly before: ItemState
  readonly #item: MergedItem
  readonly #operations: readonly Operation[]

  constructor(item: MergedItem, operations: readonly Operation[]) {
    this.key = item.key
    this.schema = item.schema
    this.fields = fieldsOf(operations)
    this.before = item.value()
    this.#item = item
    this.#operations = operations
  }

  /** Computed only for a rule that looks at it. */
  get after(): ItemState {
    return this.#item.preview(this.#operations)
  }
}

export class Reckoning {
  readonly #of: ReckoningOptions
  readonly #deaths: Deaths
  readonly #rejections: Rejections
  /** Everything is counted again: nothing of it is news. */
  #recounting = false
  /** Something counted on less than its author had seen. */
  #foreseen = false

  constructor(of: ReckoningOptions) {
    this.#of = of
    this.#deaths = new Deaths(of.pipeline, of.judging)
    this.#rejections = new Rejections(of.pipeline.path, (rejection) => of.rejected(rejection))
  }

  /** Own changes that do not count, with their content, oldest first. */
  get rejections(): readonly Rejection[] {
    return this.#rejections.all
  }

  /** Whoever they are about has logged out. */
  forget(): void {
    this.#rejections.forget()
  }

  /** A change was counted. */
  counted(counted: Counted): void {
    const { key, commit, refusal: why } = counted
    if (why !== undefined && !this.#recounting) this.#of.incident(why)
    // Of an atomic commit all changes count or none.
    const keys = commit.atomic ? commit.changes.map((change) => change.key) : [key]
    const death = this.#deaths.of(commit, keys)
    if (death !== undefined && counted.item.void(counted.index, death.from)) this.#foreseen = true
    if (commit.clock <= (this.#of.clock.now() + limits.clockAhead) * clockTicks) this.#of.clock.see(commit.clock)
    const ended = why ?? death?.why
    if (ended !== undefined) this.#reject(commit, counted.item, counted.index, ended)
    this.#of.moved(key, this.#of.schemaHash(counted.schema), why !== undefined)
  }

  /** Own work that does not count is named to the person who did it. */
  #reject(commit: Commit, item: MergedItem, index: number, why: Refusal): void {
    const { key, schema } = item
    if (commit.session !== this.#of.session()) return this.#of.saving.buried(commit.id, key)
    // What is written again is lost to nobody.
    const { isOpen } = this.#of.pipeline
    if (why.rule === clockRule && (isOpen || this.#wroteAgain(commit, key))) return
    this.#of.saving.refuse(commit.id, key, why)
    const time = Math.floor(commit.clock / clockTicks)
    this.#rejections.add(why, { commit: commit.id, key, schema, time, ...item.outcome(index) })
  }

  /** Whether another chain of the same session goes on with the item: else the last run ended before it did. */
  #wroteAgain({ id, session, chain }: Commit, key: string): boolean {
    const { commits } = this.#of.pipeline
    for (let index = commits.indexOf(id) + 1; ; index++) {
      const later = commits.at(index)
      if (later === undefined) return false
      if (later.session === session && later.chain !== chain && later.changes.some((change) => change.key === key))
        return true
    }
  }

  /** A commit is durable, whether anybody here can count it yet or not. */
  settled(commit: Commit): void {
    const { commits, log } = this.#of.pipeline
    // The branch that a checkpoint covered came after others of its chain.
    if (commits.headsOf(commit.chain).length > 1 && log.coversUpTo(commit)) this.#unsure.add(commit.chain)
    // An own one counts from its capture on. What ended it while it was on its way to the disk did not find it here.
    if (commit.session === this.#of.session()) this.#bury(commit)
  }

  /** Why the rules deny an edit to whoever is logged in here. */
  denies(live: LiveItem, operations: readonly Operation[]): Refusal | undefined {
    const { judging, root } = this.#of
    const person = this.#of.person()
    if (person === undefined) return undefined
    const about = `write ${this.#of.pipeline.path} ${live.schema.name} ${live.key}`
    const n = this.#of.pipeline.durableEntries - 1
    return judging.writing(person, root.size - 1, n, this.#of.pipeline.log, new Planned(live.merged, operations), about)
  }

  /** An edit was denied, and is in no commit. */
  dropped(live: LiveItem, operations: readonly Operation[], why: Refusal): void {
    this.#of.saving.denied(live, why)
    this.#of.incident(why)
    const { key, schema, before, after } = new Planned(live.merged, operations)
    this.#rejections.add(why, { commit: undefined, key, schema, time: this.#of.clock.now(), before, after })
  }

  /** Why changes of a commit do not count, one by one; empty when all of them do. */
  whyDenied(id: string): readonly { readonly schema: string; readonly key: string; readonly why: Refusal }[] {
    const commit = this.#of.pipeline.commits.get(id)
    if (commit === undefined) return []
    const waiting = this.#of.counting.waiting.get(id)
    return commit.changes.flatMap((change) => {
      const waits = waiting?.changes.some(({ key }) => key === change.key) ? waiting.why : undefined
      const why = this.#whyNot(commit, change) ?? waits
      return why === undefined ? [] : [{ schema: change.schema.name, key: change.key, why }]
    })
  }

  #whyNot(commit: Commit, { key, schema }: Change): Refusal | undefined {
    const item = this.#of.counting.item(key, schema.hash)
    const index = item?.graph.indexOf(commit.id)
    if (item === undefined || index === undefined) return undefined
    const node = item.graph.node(index)
    const fields = fieldsOf(node.operations)
    if (node.inapplicable) return refusal('Inapplicable', `${schema.name} ${key}`)
    if (node.refused) {
      const edit = { key, schema: item.schema, fields, ...item.outcome(index) }
      const why = this.#of.judging.write(commit, this.#of.pipeline.log, edit)
      return why ?? refusal('NotAllowed', 'another change of the same commit')
    }
    return this.#deaths.of(commit, commit.atomic ? commit.changes.map((one) => one.key) : [key])?.why
  }

  /** Which verdicts these rules would have given otherwise, had they been in force from the first commit on. Costs a replay of all history. */
  whatIf(rules: readonly Rule[]): readonly ChangedVerdict[] {
    const { certificates, clock, judging, root } = this.#of
    const schema = (hash: string): Schema | undefined => this.#of.schema(hash)
    const [reader, now] = [this.#of.person(), (): number => clock.now()]
    return whatIf({ pipeline: this.#of.pipeline, root, certificates, judging, reader, schema, now }, rules)
  }

  /** Forked chains that have to be looked at again. */
  readonly #unsure = new Set<string>()

  /** Applies to commits that count already what the authority's logs say of them. */
  #bury(commit: Commit): void {
    for (const change of commit.changes) {
      const item = this.#of.counting.item(change.key, change.schema.hash)
      const index = item?.graph.indexOf(commit.id)
      if (item === undefined || index === undefined) continue
      const keys = commit.atomic ? commit.changes.map(({ key }) => key) : [change.key]
      const death = this.#deaths.of(commit, keys)
      if (death === undefined) continue
      if (item.void(index, death.from)) this.#foreseen = true
      this.#reject(commit, item, index, death.why)
      this.#of.moved(change.key, change.schema.hash, false)
    }
  }

  /** The authority did not take the clock of an own commit: what it wrote is written again, under the time as it is known now. */
  #writeAgain(commit: Commit, time: number): void {
    const shown = commit.changes.flatMap(({ key, schema: { hash } }) => {
      const schema = this.#of.schema(hash)
      const live = schema === undefined ? undefined : this.#of.live(key, schema)
      return live === undefined ? [] : [{ live, shown: shownBy(live) }]
    })
    const counted = shown.some(({ live }) => {
      const index = live.merged.graph.indexOf(commit.id)
      return index !== undefined && live.merged.graph.node(index).voided === undefined
    })
    this.#bury(commit)
    this.#of.refresh()
    // Told of it once already, or opened with the entry: nothing of it is shown.
    if (!counted) return
    // This device's clock was set since it heard of the authority's, else it would not have been ahead.
    this.#of.clock.correct(time)
    this.#of.restartChain()
    this.#of.saving.again(commit.id)
    for (const one of shown) remake(one.live, one.shown)
  }

  /** The root log ended somebody's access. */
  revoked(): void {
    this.#buryChains((chain) => this.#of.judging.isRevoked(chain.slice(0, 64)))
  }

  /**
   * Whose access ended after a snapshot had counted what they wrote: it waits until the repository's log knows, as it does for everybody who
   * reads it from there. The root log goes on while nobody has the repository open.
   */
  restored(): void {
    const { judging, pipeline } = this.#of
    const { commits, log, durableEntries } = pipeline
    const isOpen = ({ chain, seq }: Commit): boolean => log.coveredAt(chain, seq) === Number.POSITIVE_INFINITY
    for (const { chain, id } of commits.heads()) {
      if (!judging.isRevoked(chain.slice(0, 64))) continue
      for (let commit = commits.get(id); commit !== undefined && isOpen(commit) && !this.#foreseen; ) {
        this.#foreseen = judging.waits(commit, log, durableEntries, this.#of.person()) !== undefined
        commit = commit.prev === null ? undefined : commits.get(commit.prev)
      }
    }
    this.settle()
  }

  #buryChains(isConcerned: (chain: string) => boolean): void {
    const chains = new Set<string>()
    for (const head of this.#of.pipeline.commits.heads()) if (isConcerned(head.chain)) chains.add(head.chain)
    for (const chain of chains) for (const commit of this.#deaths.chain(chain)) this.#bury(commit)
  }

  /** What counted on less than its author had seen is counted again, with all that is known now. */
  settle(): void {
    if (this.#unsure.size > 0) {
      const unsure = [...this.#unsure]
      this.#unsure.clear()
      for (const chain of unsure) for (const commit of this.#deaths.chain(chain)) this.#bury(commit)
    }
    if (!this.#foreseen) return
    this.#foreseen = false
    this.#recounting = true
    this.#of.counting.recount()
    this.#recounting = false
    this.#foreseen = false
    this.#unsure.clear()
    this.#of.allMoved()
  }

  /** What was dropped of an item is here again: it is counted, and none of it is news. */
  recalled(item: ItemName, history: readonly Commit[]): void {
    this.#recounting = true
    this.#of.counting.recall(item, history)
    this.#recounting = false
  }

  /** A new epoch left entries out: everything is judged again by what is left. */
  renew(): void {
    this.#deaths.forget()
    this.#foreseen = true
    this.settle()
  }

  /** Content is gone, for whoever asks from now on: what was judged on it is judged anew, unless that was settled. */
  erased(entries: readonly Entry[]): void {
    const erased = entries.flatMap(({ statement }) => (statement.kind === 'erasure' ? statement.changes : []))
    if (erased.length === 0) return
    this.#of.counting.renew((id) => this.#of.pipeline.commits.get(id))
    this.#foreseen = true
    this.settle()
    this.#rejections.renew(new Set(erased.map(({ key }) => key)), (commit, key) => this.#outcomeOf(commit, key))
    this.#of.erased()
  }

  #outcomeOf(id: string, key: string): { readonly before: ItemState; readonly after: ItemState } | undefined {
    for (const ofSchema of this.#of.counting.items.values()) {
      const item = ofSchema.get(key)
      const index = item?.graph.indexOf(id)
      if (index !== undefined) return item?.outcome(index)
    }
    return undefined
  }

  /** An entry whose effect is counted already, since it stood in the log when that was closed. */
  recall({ statement }: Pick<Entry, 'statement'>): void {
    if (statement.kind === 'verdict') this.#of.incident(refusal('Voided', `${statement.rule}: ${statement.reason}`))
  }

  /** An entry of the repository's log is in force. */
  entered({ statement, n, root, time }: Pick<Entry, 'statement' | 'n' | 'root' | 'time'>): void {
    const { certificates, judging } = this.#of
    if (statement.kind === 'verdict') {
      const commit = this.#of.pipeline.commits.get(statement.commit)
      const isOwn = commit?.session === this.#of.session()
      if (commit !== undefined && isOwn && statement.code === 'ClockAhead') this.#writeAgain(commit, time)
      else if (commit !== undefined) this.#bury(commit)
      this.recall({ statement })
    } else if (statement.kind === 'grant' && (statement.fences || statement.founding)) {
      const { founding, owner } = statement
      this.#buryChains((chain) => founding || certificates.get(chain.slice(0, 64))?.owner === owner)
    }
    const knew = this.#of.pipeline.log.entries[n - 1]?.root?.n ?? -1
    if (root !== null && root.n > knew) this.#buryChains((chain) => judging.isRevoked(chain.slice(0, 64)))
    if (statement.kind === 'checkpoint') {
      const forked = statement.moved.filter(({ chain }) => this.#of.pipeline.commits.headsOf(chain).length > 1)
      for (const { chain } of forked) for (const commit of this.#deaths.chain(chain)) this.#bury(commit)
    }
  }
}
