/** The page of the tabs tests, with a witness of what it stores. */
import './watched-chunks.ts'
import './tabs.ts'
