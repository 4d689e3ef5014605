/**
 * Imports between files: the engine's folder order, the packages' order, no cycle between files (types count too), and no file that nobody
 * reaches. Direction is what keeps the parts apart; a cycle or an import to the right is the first step towards one big file.
 */
import { engineFolders, entryPoints, packageImports } from './layout.ts'
import { type Import, importsOf, isScript, isTest, lineOf, type Offence, parse, type Source } from './source.ts'

interface Edge extends Import {
  readonly from: string
  readonly line: number
  /** Of an own file, when the import resolves to one. */
  readonly to: string | undefined
}

const engine = 'packages/engine/src/'

export const graphOffences = (sources: readonly Source[]): Offence[] => {
  const paths = new Set(sources.map(({ path }) => path))
  const packages = readPackages(sources)
  const edges = sources
    .filter(({ path }) => isScript(path))
    .flatMap((source) => {
      const file = parse(source)
      return importsOf(file).map((found) => ({
        ...found,
        from: source.path,
        line: lineOf(file, found.node.getStart(file)),
        to: resolve(found.specifier, source.path, paths, packages),
      }))
    })
  return [
    ...folderOffences(sources, edges),
    ...packageOffences(edges, packages),
    ...cycleOffences(edges),
    ...deadOffences(sources, edges, packages),
  ]
}

/** Name of a package of ours -> its folder and what its subpaths stand for. */
interface Package {
  readonly name: string
  readonly folder: string
  readonly exports: ReadonlyMap<string, string>
}

const readPackages = (sources: readonly Source[]): Package[] =>
  sources.flatMap(({ path, text }) => {
    if (!path.endsWith('/package.json')) return []
    const folder = path.slice(0, -'/package.json'.length)
    const manifest: { name: string; exports?: Record<string, Record<string, string>> } = JSON.parse(text)
    const exports = new Map<string, string>()
    for (const [subpath, target] of Object.entries(manifest.exports ?? {})) {
      const file = target['weft-source']
      if (file) exports.set(subpath, normalize(`${folder}/${file}`))
    }
    return [{ name: manifest.name, folder, exports }]
  })

const resolve = (
  specifier: string,
  from: string,
  paths: ReadonlySet<string>,
  packages: readonly Package[],
): string | undefined => {
  if (specifier.startsWith('.')) {
    const path = normalize(`${from}/../${specifier.replace(/\?.*$/, '')}`)
    return [path, path.replace(/\.js$/, '.ts'), path.replace(/\.mjs$/, '.d.mts')].find((candidate) =>
      paths.has(candidate),
    )
  }
  const owner = ownerOf(specifier, packages)
  return owner?.exports.get(`.${specifier.slice(owner.name.length)}`)
}

const ownerOf = (specifier: string, packages: readonly Package[]): Package | undefined =>
  packages.find(({ name }) => specifier === name || specifier.startsWith(`${name}/`))

const folderOffences = (sources: readonly Source[], edges: readonly Edge[]): Offence[] => {
  const folderOf = (path: string) => (path.startsWith(engine) ? path.slice(engine.length).split('/') : [])
  const offences: Offence[] = []
  for (const { path } of sources) {
    const [folder = '', ...rest] = folderOf(path)
    if (!path.startsWith(engine) || path === `${engine}index.ts`) continue
    if (rest.length === 0)
      offences.push({ rule: 'engine-folders', path, line: 1, text: 'only index.ts stands at the top' })
    else if (!engineFolders.includes(folder)) {
      offences.push({ rule: 'engine-folders', path, line: 1, text: `the order names no folder ${folder}` })
    }
  }
  for (const { from, to, line, specifier } of edges) {
    if (!to?.startsWith(engine) || !from.startsWith(engine) || from === `${engine}index.ts`) continue
    const [left = '', right = ''] = [folderOf(from)[0], folderOf(to)[0]]
    const toIndex = to === `${engine}index.ts`
    if (toIndex || engineFolders.indexOf(right) > engineFolders.indexOf(left)) {
      offences.push({ rule: 'engine-folders', path: from, line, text: `${left} imports ${specifier} to its right` })
    }
  }
  return offences
}

const packageOffences = (edges: readonly Edge[], packages: readonly Package[]): Offence[] => {
  const packageOf = (path: string) => packages.find(({ folder }) => path.startsWith(`${folder}/`))
  return edges.flatMap(({ from, to, line, specifier }) => {
    const source = packageOf(from)
    const target = ownerOf(specifier, packages) ?? (to === undefined ? undefined : packageOf(to))
    if (!source || !target || source === target) return []
    const offence = (text: string) => [{ rule: 'package-order', path: from, line, text }]
    if (!packageImports[source.folder]?.includes(target.folder)) {
      return offence(`${source.folder} may not import ${target.folder}`)
    }
    if (specifier.startsWith('.') && source.folder.split('/')[0] !== 'test')
      return offence(`import ${target.name} by its name`)
    return []
  })
}

/** One offence for each group of files that reach each other, told at its first import (Tarjan, SIAM J. Comput. 1972). */
const cycleOffences = (edges: readonly Edge[]): Offence[] => {
  const next = new Map<string, Edge[]>()
  for (const edge of edges) {
    if (edge.to === undefined) continue
    const known = next.get(edge.from)
    if (known) known.push(edge)
    else next.set(edge.from, [edge])
  }
  const order = new Map<string, number>()
  const lowest = new Map<string, number>()
  const stack: string[] = []
  const groups: string[][] = []
  const connect = (path: string): number => {
    const index = order.size
    order.set(path, index)
    stack.push(path)
    let low = index
    for (const { to = '' } of next.get(path) ?? []) {
      if (!order.has(to)) low = Math.min(low, connect(to))
      else if (stack.includes(to)) low = Math.min(low, order.get(to) ?? low)
    }
    lowest.set(path, low)
    if (low === index) groups.push(stack.splice(stack.indexOf(path)))
    return low
  }
  for (const path of next.keys()) if (!order.has(path)) connect(path)
  return groups.flatMap((group) => {
    const inside = (next.get(group[0] ?? '') ?? []).filter(({ to = '' }) => group.includes(to))
    const [first] = inside
    if (!first) return []
    return [{ rule: 'import-cycle', path: first.from, line: first.line, text: [...group].sort().join(' <-> ') }]
  })
}

/**
 * Alive is what a package exports, a script or page names, or a file under test/ reaches. A unit test beside the source keeps nothing
 * alive: what only its own test uses is dead.
 */
const deadOffences = (sources: readonly Source[], edges: readonly Edge[], packages: readonly Package[]): Offence[] => {
  const scripts = sources.filter(({ path }) => isScript(path) && !path.endsWith('.d.ts'))
  const product = /^(packages\/[^/]+|signal-server|demo)\/src\//
  const named = new Set<string>()
  for (const { path, text } of sources) {
    const folder = path.includes('/') ? path.slice(0, path.lastIndexOf('/') + 1) : ''
    if (/(^|\/)package\.json$/.test(path) || path.startsWith('.ci/')) {
      for (const [word] of text.matchAll(/[\w./-]+\.(?:m?[tj]s)\b/g)) named.add(normalize(word))
    }
    if (path.endsWith('.html')) {
      for (const [, word = ''] of text.matchAll(/src="([^"]+)"/g)) {
        named.add(normalize(folder + word.replace(/^\//, '')))
      }
    }
  }
  for (const { exports } of packages) for (const file of exports.values()) named.add(file)
  const alive = new Set(
    scripts
      .map(({ path }) => path)
      .filter(
        (path) =>
          named.has(path) ||
          path in entryPoints ||
          /\.config\.m?[tj]s$/.test(path) ||
          (isTest(path) && !product.test(path)),
      ),
  )
  for (const path of alive) for (const edge of edges) if (edge.from === path && edge.to) alive.add(edge.to)
  return scripts
    .filter(({ path }) => !alive.has(path) && !isTest(path) && !path.endsWith('.d.mts'))
    .map(({ path }) => ({ rule: 'dead-file', path, line: 1, text: 'nothing imports it and it is no entry point' }))
}

const normalize = (path: string): string => {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.' && part !== '') parts.push(part)
  }
  return parts.join('/')
}
