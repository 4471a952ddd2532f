import {
  type Disposable,
  EventEmitter,
  ThemeColor,
  ThemeIcon,
  type TreeDataProvider,
  TreeItem,
  TreeItemCollapsibleState,
  type TreeView,
  window,
} from 'vscode';

/** One row of a tree, as data. */
export interface Row {
  /** Stable while the row stands for the same thing, so that selection and folding survive a refresh. */
  readonly id: string;
  readonly label: string;
  readonly description?: string;
  /** Lines of plain text. */
  readonly tooltip: readonly string[];
  /** A codicon, and the colour of a theme for it. */
  readonly icon: string;
  readonly color?: string;
  /** For `viewItem` clauses. */
  readonly context: string;
  /** What commands on the row act on: a user's name, a key's id, a request's number. */
  readonly target?: string;
  readonly children?: readonly Row[];
  readonly collapsed?: boolean;
}

/** Rows are drawn anew at most this often, in milliseconds. */
const refreshMs = 250;

/** A row that is drawn. It stays the same object while its content changes, which is how VS Code knows it again. */
interface DrawnRow {
  row: Row;
  /** For commands that are called on it. */
  readonly target: string | undefined;
  readonly children: readonly DrawnRow[];
}

/** A tree view of rows. Draws in batches and, while it is hidden, not at all. */
export class RowsView implements Disposable {
  readonly #rows: () => readonly Row[];
  readonly #changed = new EventEmitter<DrawnRow[] | undefined>();
  readonly #view: TreeView<DrawnRow>;
  readonly #subscriptions: Disposable[];
  #drawn: readonly DrawnRow[] = [];
  #shape: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param rows the rows as they are at the moment.
   * @param onVisible told when the view was shown or hidden.
   */
  constructor(id: string, rows: () => readonly Row[], onVisible: () => void) {
    this.#rows = rows;
    const provider: TreeDataProvider<DrawnRow> = {
      onDidChangeTreeData: this.#changed.event,
      getChildren: (drawn) => [...(drawn === undefined ? this.#draw() : drawn.children)],
      getTreeItem: ({ row }) => treeItem(row),
    };
    this.#view = window.createTreeView(id, { treeDataProvider: provider, showCollapseAll: false });
    this.#subscriptions = [
      this.#view,
      this.#changed,
      this.#view.onDidChangeVisibility(({ visible }) => {
        onVisible();
        if (visible) this.refresh();
      }),
    ];
  }

  get visible(): boolean {
    return this.#view.visible;
  }

  /** A number on the icon in the Activity Bar, with its words; none at 0. */
  set badge({ value, tooltip }: { readonly value: number; readonly tooltip: string }) {
    if (this.#view.badge?.value !== value) this.#view.badge = value === 0 ? undefined : { value, tooltip };
  }

  /** Draws the rows soon, when somebody can see them. */
  refresh(): void {
    if (!this.#view.visible) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#redraw();
    }, refreshMs);
  }

  /**
   * Draws what differs. VS Code shows progress on view and icon whenever it asks for children, so it is made to only
   * when there are others.
   */
  #redraw(): void {
    const rows = this.#rows();
    if (shapeOf(rows) !== this.#shape) {
      this.#changed.fire(undefined);
      return;
    }
    const changed = update(this.#drawn, rows);
    if (changed.length > 0) this.#changed.fire(changed);
  }

  #draw(): readonly DrawnRow[] {
    const rows = this.#rows();
    this.#shape = shapeOf(rows);
    this.#drawn = rows.map(drawnRow);
    return this.#drawn;
  }

  dispose(): void {
    clearTimeout(this.#timer);
    for (const subscription of this.#subscriptions) subscription.dispose();
  }
}

function drawnRow(row: Row): DrawnRow {
  return { row, target: row.target, children: (row.children ?? []).map(drawnRow) };
}

/** Which rows there are, and what they act on; not what they say. */
function shapeOf(rows: readonly Row[]): string {
  return JSON.stringify(rows.map(({ id, target, children }) => [id, target, children && shapeOf(children)]));
}

/** Gives drawn rows of the same shape their new content, and returns those whose content differs. */
function update(drawn: readonly DrawnRow[], rows: readonly Row[]): DrawnRow[] {
  return drawn.flatMap((one, index) => {
    const row = rows[index];
    if (row === undefined) return [];
    const below = update(one.children, row.children ?? []);
    const differs = JSON.stringify(treeItem(one.row)) !== JSON.stringify(treeItem(row));
    one.row = row;
    return differs ? [one, ...below] : below;
  });
}

function treeItem(row: Row): TreeItem {
  const state =
    row.children === undefined
      ? TreeItemCollapsibleState.None
      : row.collapsed
        ? TreeItemCollapsibleState.Collapsed
        : TreeItemCollapsibleState.Expanded;
  const item = new TreeItem(row.label, state);
  item.id = row.id;
  if (row.description !== undefined) item.description = row.description;
  // Not Markdown: that makes a link of whatever looks like one, such as the model that a request names.
  item.tooltip = row.tooltip.join('\n');
  item.iconPath = new ThemeIcon(row.icon, row.color === undefined ? undefined : new ThemeColor(row.color));
  item.contextValue = row.context;
  item.accessibilityInformation = { label: [row.label, row.description].filter(Boolean).join(', ') };
  return item;
}
