/**
 * What happened in a repository, for people who look back: every commit that is here, the latest first, with who made it, the role they had
 * where they stood, what it did to which item, and what became of it. It reads and changes nothing; a page of it costs its own length.
 */
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { type Change, type Commit, clockTicks, readCommit, sessionId, signedBytes } from '../commit/commit.ts'
import type { Operation } from '../commit/operation.ts'
import { isRun } from '../commit/run.ts'
import type { Commits } from '../graph/commits.ts'
import { type Values, valuesOf } from '../merge/values.ts'
import type { Scalar } from '../schema/field.ts'
import { messageOf } from '../trust/signed.ts'
import { fieldsOf } from './counting.ts'
import type { Repository } from './repository.ts'

/** What a commit did to one item. */
export interface ActivityChange {
  readonly schema: string
  readonly key: string
  readonly kind: 'create' | 'edit' | 'delete' | 'restore'
  /** The fields that it edits, in no order. */
  readonly fields: readonly string[]
  /** What it put into fields that hold one value, as far as that is not erased. */
  readonly assigned: Readonly<Record<string, Scalar>>
  /** Why it does not count; undefined when it does. */
  readonly why: Refusal | undefined
  /** The item as its author found it, and as they left it: null where it is not there. Computed when they are looked at. */
  readonly before: Values | null
  readonly after: Values | null
}

export interface Activity {
  /** The commit's id, hex. */
  readonly commit: string
  readonly session: string
  readonly owner: string | undefined
  readonly name: string | undefined
  /** The role that the log gave them at the position the commit cites. */
  readonly role: string | undefined
  /** ms since 1970, by its author's clock */
  readonly time: number
  readonly changes: readonly ActivityChange[]
  /** Whether a checkpoint of the authority covers it. */
  readonly covered: boolean
  /** Whether changes of it wait for something before they can count. */
  readonly waits: boolean
  /** Checks hashes, signature and certificate once more, here and now: why they are not good, undefined when they are. */
  verify(): Promise<Refusal | undefined>
}

export interface ActivityOptions {
  /** Only what comes before this commit, in the order told. */
  readonly before?: string
  /** So many are passed over. */
  readonly skip?: number
  /** So many at most, 100 unless told. */
  readonly limit?: number
}

type Placed = Pick<Commit, 'clock' | 'id'>

interface Ordered {
  taken: number
  /** The commits themselves may lose content. */
  readonly commits: Placed[]
}

/** By clock, then by id: the same order on every replica that holds the same commits. */
const compare = (a: Placed, b: Placed): number => a.clock - b.clock || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

/** What was sorted stays sorted: only what came since is put in. */
const orders = new WeakMap<Commits, Ordered>()

const orderOf = (commits: Commits): readonly Placed[] => {
  // What was dropped has no more to tell than its name.
  const known = orders.get(commits) ?? { taken: commits.dropped, commits: [] }
  orders.set(commits, known)
  const added = commits.size - known.taken
  for (; known.taken < commits.size; known.taken++) {
    const id = commits.idAt(known.taken)
    const row = id === undefined ? undefined : commits.row(id)
    if (row !== undefined) known.commits.push({ clock: row.clock, id: row.id })
  }
  // What is in order already is gone through once.
  if (added > 0) known.commits.sort(compare)
  return known.commits
}

/** How many commits stand before this one, from the earliest on. */
const placeOf = (order: readonly Placed[], commit: Placed): number => {
  let [low, high] = [0, order.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const at = order[middle]
    if (at !== undefined && compare(at, commit) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * The commits of a repository that are on this device, the latest first. `before` names a commit told earlier, so that a page goes on where
 * the last one ended, whatever came meanwhile; a commit that is not here names nothing, and gives nothing.
 */
export const activity = (repository: Repository, options: ActivityOptions = {}): readonly Activity[] => {
  const { before, skip = 0, limit = 100 } = options
  const { commits } = repository.pipeline
  const order = orderOf(commits)
  const from = before === undefined ? undefined : commits.row(before)
  if (before !== undefined && from === undefined) return []
  const end = (from === undefined ? order.length : placeOf(order, from)) - skip
  const told: Activity[] = []
  for (let at = end - 1; at >= 0 && told.length < limit; at--) {
    const commit = commits.get(order[at]?.id ?? '')
    if (commit !== undefined) told.push(toldOf(repository, commit))
  }
  return told
}

const toldOf = (repository: Repository, commit: Commit): Activity => {
  const { certificates, judging } = repository.witness
  const { log } = repository.pipeline
  const { id, session, policy } = commit
  const certificate = certificates.get(session)
  const rules = judging.rulesAt(policy.root.n)
  const who = { session, owner: certificate?.owner }
  const denied = repository.whyDenied(id)
  const why = ({ key, schema }: Change): Refusal | undefined =>
    denied.find((one) => one.key === key && one.schema === schema.name)?.why
  return {
    commit: id,
    session,
    owner: certificate?.owner,
    name: certificate?.name,
    role: rules === undefined ? undefined : judging.roleOf(log, who, log.cited(policy.authority), rules),
    time: Math.floor(commit.clock / clockTicks),
    changes: commit.changes.map((change) => changeOf(repository, commit, change, why(change))),
    covered: repository.covers(id),
    waits: repository.counting.waiting.has(id),
    verify: () => verify(repository, commit),
  }
}

const assignedBy = (operations: readonly Operation[]): Readonly<Record<string, Scalar>> => {
  const assigned: Record<string, Scalar> = Object.create(null)
  for (const operation of operations)
    if (operation.kind === 'assign' && operation.value !== undefined) assigned[operation.field] = operation.value
  return assigned
}

const changeOf = (repository: Repository, { id }: Commit, change: Change, why: Refusal | undefined): ActivityChange => {
  const { key, schema, parents, operations } = change
  const is = (kind: 'delete' | 'touch'): boolean => operations.some((operation) => operation.kind === kind)
  const valuesAt = (when: 'before' | 'after'): Values | null => {
    const item = repository.counting.item(key, schema.hash)
    const index = item?.graph.indexOf(id)
    if (item === undefined || index === undefined || index < item.dropped) return null
    return valuesOf(item.outcome(index)[when], item.schema)
  }
  return {
    schema: schema.name,
    key,
    kind: is('delete') ? 'delete' : parents.length === 0 ? 'create' : is('touch') ? 'restore' : 'edit',
    fields: fieldsOf(operations),
    assigned: assignedBy(operations),
    why,
    get before() {
      return valuesAt('before')
    },
    get after() {
      return valuesAt('after')
    },
  }
}

/** From the bytes as they are held, up to the authority's key in the root log. */
const verify = async (repository: Repository, { id }: Commit): Promise<Refusal | undefined> => {
  const { certificates, root, runtime } = repository.witness
  const run: Commit[] = []
  for (const { bytes } of repository.pipeline.commits.runFrom(id)) {
    const commit = readCommit(bytes, runtime.hash)
    if (isRefusal(commit)) return commit
    run.push(commit)
  }
  const [commit] = run
  const last = run.at(-1)
  if (commit?.id !== id || last === undefined) return refusal('BadHash', id)
  if (!isRun(run)) return refusal('BadSignature', id)
  const certificate = certificates.get(commit.session)
  if (certificate === undefined) return refusal('UnknownSession', commit.session)
  const { publicKey, owner, signer, body, signature } = certificate
  const key = root.key(signer)
  const issued = messageOf('certificate', body, runtime.hash)
  const isTheirs = sessionId(publicKey, owner, runtime.hash) === commit.session
  if (key === undefined || !isTheirs || !(await runtime.verify(key, issued, signature)))
    return refusal('BadCertificate', commit.session)
  const isSigned = await runtime.verify(publicKey, signedBytes(last.id), last.signature)
  return isSigned ? undefined : refusal('BadSignature', id)
}
