export { diffText } from '../merge/diff.ts'
