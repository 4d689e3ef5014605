/** Reports for people. What comes from a store may hold anything, so nothing of it reaches the terminal but what can be printed. */
import type { AuditReport, DeadCommit, Problem } from '@weft-db/engine'

/** Lines of one kind, at most; the rest is counted. */
const most = 40

/** Without what moves a cursor, changes a colour or turns the writing around. */
export const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')

const count = (number: number, one: string, many = `${one}s`): string => `${number} ${number === 1 ? one : many}`

const day = (ms: number): string => {
  const time = new Date(ms)
  return Number.isNaN(time.getTime()) ? 'an unknown time' : time.toISOString().slice(0, 16).replace('T', ' ')
}

const firstOf = (lines: readonly string[]): string[] =>
  lines.length <= most
    ? [...lines]
    : [...lines.slice(0, most), `  and ${lines.length - most} more (--json has them all)`]

const place = ({ file, offset }: Problem): string =>
  `${file ?? 'the folder'}${offset === null ? '' : `, byte ${offset}`}`

const deadLine = ({ commit, key, owner, code, reason }: DeadCommit): string =>
  `  ${commit}${key === null ? '' : ` (item ${key})`} of ${owner ?? 'nobody known'}: ${code}, ${reason}`

/** `judged`: whether the app's rules were asked as well. */
export const inWords = (folder: string, report: AuditReport, judged: boolean): string => {
  const { network, keys, root, files, repositories, people, notes, problems } = report
  const lines = [`Audit of ${folder}`, '']
  const size = files.reduce((sum, file) => sum + file.size, 0)
  lines.push(
    network === null ? 'Network: unknown' : `Network ${network}`,
    ...keys.map(
      ({ id, from, retired }) =>
        `  authority's key ${id}, from entry ${from} of the root log${retired === null ? ' on' : ` to ${retired}`}`,
    ),
    `Checked: ${count(files.length, 'file')}, ${count(size, 'byte')}; root log of ${count(root.entries, 'entry', 'entries')}`,
    judged
      ? 'Judged by the rules of the app: every commit'
      : 'Not judged: whether the rules of the app allow each change (--rules MODULE does that)',
    '',
    'Repositories',
  )
  for (const { path, commits, entries, covered, dead, waiting } of repositories)
    lines.push(
      `  ${path}: ${count(commits, 'commit')}, ${covered} under a checkpoint; ${count(entries, 'entry', 'entries')} of its log; ` +
        `${dead.length} dead; ${waiting.length} waiting`,
    )
  if (repositories.length === 0) lines.push('  none')
  lines.push('', 'Who did what')
  for (const { owner, name, sessions, commits, dead, first, last, repositories: places } of people) {
    lines.push(`  ${name === '' ? 'nobody known' : name} (${owner}), ${count(sessions, 'session')}`)
    if (commits > 0) lines.push(`    ${count(commits, 'commit')} from ${day(first)} to ${day(last)} UTC, ${dead} dead`)
    for (const { path, commits: there, changes } of places)
      lines.push(`    ${path}: ${count(there, 'commit')}, ${count(changes, 'change')}`)
  }
  if (people.length === 0) lines.push('  nobody')
  const dead = repositories.flatMap((one) => one.dead)
  if (dead.length > 0) lines.push('', 'Dead', ...firstOf(dead.map(deadLine)))
  const waiting = repositories.flatMap((one) => one.waiting)
  if (waiting.length > 0) lines.push('', 'Waiting', ...firstOf(waiting.map(deadLine)))
  if (notes.length > 0) lines.push('', 'Good to know', ...notes.map((note) => `  ${note}`))
  lines.push(...problemsInWords(problems), '')
  lines.push(problems.length === 0 ? 'Clean.' : `${count(problems.length, 'problem')}.`)
  return inLines(lines)
}

/** Nothing where there are none. */
export const problemsInWords = (problems: readonly Problem[]): string[] =>
  problems.length === 0
    ? []
    : ['', 'Problems', ...firstOf(problems.map((one) => `  ${place(one)}: ${one.message} [${one.code}]`))]

export const inLines = (lines: readonly string[]): string => `${lines.map(printable).join('\n')}\n`

export const inJson = (value: object): string => `${JSON.stringify(value, undefined, 2)}\n`
