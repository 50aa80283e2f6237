// SPDX-License-Identifier: GPL-2.0-only
/*
 * top on a terminal, by ncurses: draws, and reads keys. Whatever ends it, the terminal is given
 * back as it was found.
 */
#include "top.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <curses.h>

#include "ban.h"
#include "live.h"

/* The lines that are not rows: two above, the heading, the keys below. */
#define FIRST_ROW 3
#define KEYS "q quit  r a u t n sort  c s b who  arrows move  space hold  h help"

enum { PAIR_REFUSED = 1, PAIR_KEYS };

struct screen {
	struct top *top;
	size_t first; /* row that is shown first */
	bool is_held, is_help, is_over;
	__u64 next_ns; /* when the next sample is due */
};

static const char *const help[] = {
	"  r  refused a second       a  asked a second      u  used share of the limit",
	"  t  refused in all         n  name",
	"  c  callers only           s  strangers only      b  both",
	"  +  more often             -  less often          space  hold and go on",
	"  up, down, page up, page down, home               q  quit",
	"",
	"  REFUSED counts banned, and what would be refused while observing.",
	"  The bar is what passed, of the limit.",
};
#define HELP_LINES ((int)(sizeof(help) / sizeof(*help)))

/* The whole line, cut at the screen's edge. */
static void line_put(int y, const char *text)
{
	if (y < 0 || y >= LINES)
		return;
	move(y, 0);
	clrtoeol();
	addnstr(text, COLS);
}

static void marked_put(int y, const char *text, attr_t mark)
{
	attron(mark);
	line_put(y, text);
	for (int x = strlen(text); x < COLS; x++)
		addch(' ');
	attroff(mark);
}

static size_t shown_count(const struct top *top)
{
	size_t count = 0;

	for (size_t i = 0; i < top->count; i++)
		count += top_is_shown(top, &top->rows[i]);
	return count;
}

static void rows_draw(struct screen *screen)
{
	const struct top *top = screen->top;
	size_t shown = shown_count(top), skipped = 0;
	char text[TOP_LINE];
	int y = FIRST_ROW;

	if (screen->first >= shown)
		screen->first = shown ? shown - 1 : 0;
	for (size_t i = 0; i < top->count && y < LINES - 1; i++) {
		const struct rates_row *row = &top->rows[i];

		if (!top_is_shown(top, row) || skipped++ < screen->first)
			continue;
		top_line(row, COLS, text);
		if (row->refused_per_sec > 0)
			attron(COLOR_PAIR(PAIR_REFUSED) | A_BOLD);
		line_put(y++, text);
		attroff(COLOR_PAIR(PAIR_REFUSED) | A_BOLD);
	}
}

static void screen_draw(struct screen *screen)
{
	static const char *const views[] = {"callers and strangers", "callers", "strangers"};
	const struct top *top = screen->top;
	char text[TOP_LINE];

	erase();
	top_summary(top, text);
	line_put(0, text);
	snprintf(text, sizeof(text), "%s by %s, each %g s%s", views[top->view],
		 top_order_text(top->order), top->interval_s,
		 screen->is_held       ? ", held"
		 : top->elapsed_s == 0 ? ", rates after the first look"
				       : "");
	line_put(1, text);
	top_heading(COLS, text);
	marked_put(2, text, A_REVERSE);
	if (screen->is_help) {
		for (int i = 0; i < HELP_LINES; i++)
			line_put(FIRST_ROW + i, help[i]);
	} else {
		rows_draw(screen);
	}
	if (LINES > FIRST_ROW)
		line_put(LINES - 1, KEYS);
	refresh();
}

static void interval_set(struct screen *screen, double factor)
{
	double interval = screen->top->interval_s * factor;

	if (interval < 0.25 || interval > 60)
		return;
	screen->top->interval_s = interval;
	screen->next_ns = tps_now_ns() + interval * 1e9;
}

static void scroll_by(struct screen *screen, long lines)
{
	if (lines < 0 && (size_t)-lines > screen->first)
		screen->first = 0;
	else
		screen->first += lines;
}

static bool key_sorts(struct screen *screen, int key)
{
	static const char keys[RATES_ORDER_MAX] = {[RATES_BY_REFUSED] = 'r',
						   [RATES_BY_RATE] = 'a',
						   [RATES_BY_USED] = 'u',
						   [RATES_BY_TOTAL] = 't',
						   [RATES_BY_NAME] = 'n'};

	for (int order = 0; order < RATES_ORDER_MAX; order++) {
		if (keys[order] != key)
			continue;
		top_sort(screen->top, order);
		screen->first = 0;
		return true;
	}
	return false;
}

static void key_read(struct screen *screen, int key)
{
	struct top *top = screen->top;

	if (key_sorts(screen, key))
		return;
	switch (key) {
	case 'q':
		screen->is_over = true;
		break;
	case 'c':
	case 's':
	case 'b':
		top->view = key == 'c' ? TOP_CALLERS : key == 's' ? TOP_STRANGERS : TOP_BOTH;
		screen->first = 0;
		break;
	case 'h':
	case '?':
		screen->is_help = !screen->is_help;
		break;
	case ' ':
		screen->is_held = !screen->is_held;
		break;
	case '+':
	case '-':
		interval_set(screen, key == '+' ? 0.5 : 2);
		break;
	case KEY_UP:
	case KEY_DOWN:
		scroll_by(screen, key == KEY_UP ? -1 : 1);
		break;
	case KEY_PPAGE:
	case KEY_NPAGE:
		scroll_by(screen, (key == KEY_PPAGE ? -1 : 1) * (LINES > 6 ? LINES - 5 : 1));
		break;
	case KEY_HOME:
		screen->first = 0;
		break;
	default: /* KEY_RESIZE: drawn anew */
		break;
	}
}

/* Until the next sample is due, or a key that ends it. */
static void keys_wait(struct screen *screen)
{
	while (!screen->is_over && !live_is_over()) {
		__u64 now_ns = tps_now_ns();
		int key;

		if (now_ns >= screen->next_ns)
			return;
		timeout((screen->next_ns - now_ns) / 1000000 + 1);
		key = getch();
		if (key == ERR)
			continue;
		key_read(screen, key);
		screen_draw(screen);
	}
}

static int screen_run(struct screen *screen, struct tps_why *why)
{
	struct top *top = screen->top;
	__u64 rounds = 0;
	int err = 0;

	while (!err && !screen->is_over && !live_is_over()) {
		if (!screen->is_held)
			err = top_sample(top, why);
		if (err || (top->rounds && rounds++ == top->rounds))
			break;
		screen->next_ns = tps_now_ns() + top->interval_s * 1e9;
		screen_draw(screen);
		keys_wait(screen);
	}
	return err;
}

static void colours_begin(void)
{
	const char *none = getenv("NO_COLOR");

	if ((none && *none) || !has_colors())
		return;
	start_color();
	use_default_colors();
	init_pair(PAIR_REFUSED, COLOR_RED, -1);
}

static void screen_give_back(void)
{
	if (!isendwin())
		endwin();
}

int top_screen(struct top *top, struct tps_why *why)
{
	struct screen screen = {.top = top};
	const char *term = getenv("TERM");
	SCREEN *terminal;
	int err;

	/* newterm(3) reports what initscr(3) would end the program for. */
	terminal = term && *term && strcmp(term, "dumb") ? newterm(NULL, stdout, stdin) : NULL;
	if (!terminal)
		return -ENOTTY;
	atexit(screen_give_back);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	curs_set(0);
	colours_begin();
	err = screen_run(&screen, why);
	endwin();
	return err;
}
