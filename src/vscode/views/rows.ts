import {
  type Disposable,
  EventEmitter,
  MarkdownString,
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
  /** One paragraph a line; plain text, whatever it holds. */
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

/** A tree view of rows. Draws in batches and, while it is hidden, not at all. */
export class RowsView implements Disposable {
  readonly #changed = new EventEmitter<void>();
  readonly #view: TreeView<Row>;
  readonly #subscriptions: Disposable[];
  readonly #rows: () => readonly Row[];
  #drawn = '';
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param rows the rows as they are at the moment.
   * @param onVisible told when the view was shown or hidden.
   */
  constructor(id: string, rows: () => readonly Row[], onVisible: () => void) {
    this.#rows = rows;
    const provider: TreeDataProvider<Row> = {
      onDidChangeTreeData: this.#changed.event,
      getChildren: (row) => [...(row === undefined ? this.#take() : (row.children ?? []))],
      getTreeItem: treeItem,
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
      if (JSON.stringify(this.#rows()) !== this.#drawn) this.#changed.fire();
    }, refreshMs);
  }

  /** The rows that are drawn now; a view shows that it is busy whenever it is asked to draw, so it is not for nothing. */
  #take(): readonly Row[] {
    const rows = this.#rows();
    this.#drawn = JSON.stringify(rows);
    return rows;
  }

  dispose(): void {
    clearTimeout(this.#timer);
    for (const subscription of this.#subscriptions) subscription.dispose();
  }
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
  item.tooltip = new MarkdownString(
    row.tooltip.map((line) => new MarkdownString().appendText(line).value).join('\n\n'),
  );
  item.iconPath = new ThemeIcon(row.icon, row.color === undefined ? undefined : new ThemeColor(row.color));
  item.contextValue = row.context;
  item.accessibilityInformation = { label: [row.label, row.description].filter(Boolean).join(', ') };
  return item;
}
