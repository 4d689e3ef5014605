/**
 * What the rules are asked about: the files of the tree as text, and what the TypeScript parser sees in them. Nothing here reads
 * the disk, so that a test can hand over files that do not exist.
 */
import ts from 'typescript'

/** `path` is relative to the top of the repository, with slashes. */
export interface Source {
  readonly path: string
  readonly text: string
}

export interface Offence {
  readonly rule: string
  readonly path: string
  /** From 1. */
  readonly line: number
  readonly text: string
}

export interface Comment {
  readonly text: string
  readonly firstLine: number
  readonly lastLine: number
}

const parsed = new WeakMap<Source, ts.SourceFile>()

export const isScript = (path: string): boolean => /\.(ts|mts|js|mjs|svelte)$/.test(path)

export const isTest = (path: string): boolean => /\.test\.ts$/.test(path)

/** The scripts of a Svelte file stand at their own lines; its markup is blanked out. */
export const parse = (source: Source): ts.SourceFile => {
  const known = parsed.get(source)
  if (known) return known
  const text = source.path.endsWith('.svelte') ? scriptsOf(source.text) : source.text
  const kind = /\.m?js$/.test(source.path) ? ts.ScriptKind.JS : ts.ScriptKind.TS
  const file = ts.createSourceFile(source.path, text, ts.ScriptTarget.ES2023, true, kind)
  parsed.set(source, file)
  return file
}

export const lineOf = (file: ts.SourceFile, position: number): number =>
  file.getLineAndCharacterOfPosition(position).line + 1

export const offenceAt = (rule: string, file: ts.SourceFile, node: ts.Node, text: string): Offence => ({
  rule,
  path: file.fileName,
  line: lineOf(file, node.getStart(file)),
  text,
})

/** Calls `see` for every node, outermost first. */
export const visit = (node: ts.Node, see: (node: ts.Node) => void): void => {
  see(node)
  ts.forEachChild(node, (child) => visit(child, see))
}

export interface Import {
  readonly specifier: string
  readonly node: ts.Node
}

/** Imports, type-only and dynamic ones too, re-exports, `vi.mock` aside; and `new URL('./x', import.meta.url)`, how workers are named. */
export const importsOf = (file: ts.SourceFile): Import[] => {
  const found: Import[] = []
  const add = (node: ts.Node | undefined) => {
    if (node && ts.isStringLiteralLike(node)) found.push({ specifier: node.text, node })
  }
  visit(file, (node) => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0])
    else if (ts.isNewExpression(node) && node.expression.getText(file) === 'URL') {
      const [name, from] = node.arguments ?? []
      if (from?.getText(file) === 'import.meta.url') add(name)
    }
  })
  return found
}

/** Names that a file exports, as others see them. */
export const exportsOf = (file: ts.SourceFile): { name: string; node: ts.Node }[] => {
  const found: { name: string; node: ts.Node }[] = []
  const addBinding = (name: ts.BindingName) => {
    if (ts.isIdentifier(name)) found.push({ name: name.text, node: name })
    else
      for (const element of name.elements) {
        if (ts.isBindingElement(element)) addBinding(element.name)
      }
  }
  for (const statement of file.statements) {
    if (ts.isExportDeclaration(statement)) {
      const clause = statement.exportClause
      if (clause && ts.isNamedExports(clause)) {
        for (const element of clause.elements) found.push({ name: element.name.text, node: element })
      } else if (clause) found.push({ name: clause.name.text, node: clause })
    } else if (ts.canHaveModifiers(statement) && hasModifier(statement, ts.SyntaxKind.ExportKeyword)) {
      if (ts.isVariableStatement(statement)) {
        for (const declaration of statement.declarationList.declarations) addBinding(declaration.name)
      } else if (
        (ts.isFunctionDeclaration(statement) ||
          ts.isClassDeclaration(statement) ||
          ts.isInterfaceDeclaration(statement) ||
          ts.isTypeAliasDeclaration(statement)) &&
        statement.name
      ) {
        found.push({ name: statement.name.text, node: statement.name })
      }
    }
  }
  return found
}

export const hasModifier = (node: ts.HasModifiers, kind: ts.SyntaxKind): boolean =>
  node.modifiers?.some((modifier) => modifier.kind === kind) ?? false

export const commentsOf = (file: ts.SourceFile): Comment[] => {
  const ranges = new Map<number, ts.CommentRange>()
  const collect = (node: ts.Node) => {
    for (const range of ts.getLeadingCommentRanges(file.text, node.pos) ?? []) ranges.set(range.pos, range)
    for (const range of ts.getTrailingCommentRanges(file.text, node.end) ?? []) ranges.set(range.pos, range)
    for (const child of node.getChildren(file)) collect(child)
  }
  collect(file)
  return [...ranges.values()].map(({ pos, end }) => ({
    text: file.text.slice(pos, end),
    firstLine: lineOf(file, pos),
    lastLine: lineOf(file, end),
  }))
}

/**
 * Uses of a name as a variable or type: no property, key or label of that name, and none at all where the file declares the name itself
 * (a parameter called `process` is not Node's).
 */
export const usesOf = (file: ts.SourceFile, names: ReadonlySet<string>): ts.Identifier[] => {
  const found: ts.Identifier[] = []
  const own = new Set<string>()
  visit(file, (node) => {
    if (!ts.isIdentifier(node) || !names.has(node.text)) return
    const { parent } = node
    if (isDeclaredAs(parent, node)) own.add(node.text)
    else if (!isPropertyName(parent, node)) found.push(node)
  })
  return found.filter((node) => !own.has(node.text))
}

const isDeclaredAs = (parent: ts.Node, name: ts.Identifier): boolean =>
  (ts.isVariableDeclaration(parent) ||
    ts.isParameter(parent) ||
    ts.isBindingElement(parent) ||
    ts.isFunctionDeclaration(parent) ||
    ts.isClassDeclaration(parent) ||
    ts.isInterfaceDeclaration(parent) ||
    ts.isTypeAliasDeclaration(parent) ||
    ts.isImportSpecifier(parent) ||
    ts.isImportClause(parent)) &&
  parent.name === name

const isPropertyName = (parent: ts.Node, name: ts.Identifier): boolean =>
  (ts.isPropertyAccessExpression(parent) && parent.name === name) ||
  (ts.isQualifiedName(parent) && parent.right === name) ||
  ((ts.isPropertyAssignment(parent) ||
    ts.isPropertySignature(parent) ||
    ts.isPropertyDeclaration(parent) ||
    ts.isMethodDeclaration(parent) ||
    ts.isMethodSignature(parent) ||
    ts.isGetAccessor(parent) ||
    ts.isSetAccessor(parent)) &&
    parent.name === name) ||
  (ts.isBindingElement(parent) && parent.propertyName === name) ||
  (ts.isImportSpecifier(parent) && parent.propertyName === name) ||
  ts.isExportSpecifier(parent) ||
  ts.isNamedTupleMember(parent)

const scriptsOf = (text: string): string => {
  let script = ''
  let at = 0
  const blank = (part: string) => part.replace(/[^\n]/g, ' ')
  for (const match of text.matchAll(/(<script\b[^>]*>)([\s\S]*?)(<\/script>)/g)) {
    const [, open = '', body = ''] = match
    const from = match.index + open.length
    script += blank(text.slice(at, from)) + body
    at = from + body.length
  }
  return script + blank(text.slice(at))
}
