"""What dashboards are made of, as Grafana's JSON has it."""

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24

# Gauges of a queue, from its coordinator.
QUEUE = 'queue=~"$queue"'
QUEUE_DATA = f'{QUEUE}, dataset=~"$dataset"'
# Counters of processes. They have the label `queue` where their target has it.
PROCESS = f'job=~"$job", {QUEUE}'

RATE = "[$__rate_interval]"


def or_none(label, expr):
    """Only what there is; a zero that says so when there is nothing."""
    return f'{expr} > 0 or label_replace(vector(0), "{label}", "none", "", "")'


def quantile(of, expr):
    return f"histogram_quantile({of}, {expr})"


def query(expr, legend="", kind="time_series", instant=False):
    """One line of a panel, or several."""
    return {"expr": expr, "legendFormat": legend or "__auto", "format": kind, "instant": instant, "range": not instant}


def thresholds(*steps):
    """Colours from values on: the first has none."""
    (first, *others) = steps
    steps = [{"color": first, "value": None}] + [{"color": color, "value": value} for value, color in others]
    return {"mode": "absolute", "steps": steps}


def panel(kind, title, description, unit, queries, width, height, options, **defaults):
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "gridPos": {"h": height, "w": width, "x": 0, "y": 0},
        "fieldConfig": {"defaults": {"unit": unit, **defaults}, "overrides": []},
        "options": options,
        "targets": [
            {"datasource": SOURCE, "editorMode": "code", "refId": chr(ord("A") + at), **asked}
            for at, asked in enumerate(queries)
        ],
    }


def reduce():
    return {"calcs": ["lastNotNull"], "fields": "", "values": False}


def stat(title, description, unit, *queries, width=4, color=None, **defaults):
    """A number, with its course behind it."""
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": reduce(),
        "showPercentChange": False,
        "textMode": "auto",
        "wideLayout": True,
    }
    defaults = {"color": {"mode": "thresholds"}, "thresholds": color or thresholds("blue"), **defaults}
    return panel("stat", title, description, unit, queries, width, 4, options, **defaults)


def bars(title, description, unit, *queries, width=12, **defaults):
    """A bar for each label, as it is now."""
    options = {
        "displayMode": "basic",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
        "maxVizHeight": 40,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "namePlacement": "auto",
        "orientation": "horizontal",
        "reduceOptions": reduce(),
        "showUnfilled": True,
        "sizing": "auto",
        "valueMode": "color",
    }
    defaults = {"color": {"mode": "thresholds"}, "thresholds": thresholds("blue"), **defaults}
    return panel("bargauge", title, description, unit, queries, width, 8, options, **defaults)


def lines(title, description, unit, *queries, width=12, stacked=False, drawn="line", **defaults):
    """Lines over time."""
    custom = {
        "drawStyle": drawn,
        "fillOpacity": 60 if drawn == "bars" else 25 if stacked else 5,
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
    }
    options = {
        "legend": {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "right", "showLegend": True},
        "tooltip": {"hideZeros": stacked, "mode": "multi", "sort": "desc"},
    }
    defaults = {"color": {"mode": "palette-classic-by-name"}, "custom": custom, "min": 0, **defaults}
    return panel("timeseries", title, description, unit, queries, width, 8, options, **defaults)


def heat(title, description, unit, expr, width=12):
    """How a histogram's buckets fill over time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "exponent": 0.5,
            "fill": "dark-blue",
            "mode": "scheme",
            "reverse": False,
            "scale": "exponential",
            "scheme": "Blues",
            "steps": 32,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    custom = {"scaleDistribution": {"type": "linear"}}
    return panel("heatmap", title, description, unit, [query(expr, "{{le}}", "heatmap")], width, 8, options, custom=custom)


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": 0}}


def placed(panels):
    """Numbers them, and lays them from left to right and from top to bottom."""
    x = y = height = 0
    for number, each in enumerate(panels, 1):
        place = each["gridPos"]
        if x + place["w"] > WIDTH:
            x, y, height = 0, y + height, 0
        each["id"] = number
        place.update(x=x, y=y)
        x, height = x + place["w"], max(height, place["h"])
    return panels


def values_of(name, asked, label, description, every=None):
    """A variable: the values of a label, one, some or all of them."""
    variable = {
        "name": name,
        "label": label,
        "description": description,
        "type": "query",
        "datasource": SOURCE,
        "query": {"qryType": 1, "query": f"label_values({asked}, {name})", "refId": f"variable-{name}"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
    }
    return {**variable, "allValue": every} if every else variable


def marks(name, color, title, expr):
    """An annotation wherever a query has a value above zero."""
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "target": {"expr": expr, "refId": name},
        "titleFormat": title,
        "tagKeys": "queue,version",
    }


def deploys(processes):
    """A release that no process ran five minutes ago."""
    return marks(
        "Deploys",
        "blue",
        "release {{version}}",
        f"count by (version) (tapemill_build_info{{{processes}}})"
        f" unless count by (version) (tapemill_build_info{{{processes}}} offset 5m)",
    )


DATASOURCE = {
    "name": "datasource",
    "label": "Prometheus",
    "description": "The Prometheus that scrapes tapemill.",
    "type": "datasource",
    "query": "prometheus",
    "refresh": 1,
    "multi": False,
    "includeAll": False,
    "current": {"selected": False, "text": "Prometheus", "value": "prometheus"},
    "options": [],
}
JOB = values_of("job", "tapemill_build_info", "Job", "The scrape jobs whose processes are shown.")
QUEUES = values_of(
    "queue",
    "tapemill_queue_tasks",
    "Queue",
    "Narrows what coordinators tell of queues, and what processes count where their targets have the label queue.",
    every=".*",
)
DATASETS = values_of("dataset", f"tapemill_queue_tasks{{{QUEUE}}}", "Data", "The kinds of data that are shown.", every=".*")
INSTANCES = values_of(
    "instance", f"tapemill_build_info{{{PROCESS}}}", "Process", "The processes that are shown."
)
OF_GRAFANA = {
    "name": "Annotations & Alerts",
    "builtIn": 1,
    "type": "dashboard",
    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    "enable": True,
    "hide": True,
    "iconColor": "rgba(0, 211, 255, 1)",
}
MARKS = [
    deploys(PROCESS),
    marks(
        "Brakes",
        "orange",
        "the archive asks for fewer requests",
        f"max by (queue) (tapemill_brake_seconds_remaining{{{QUEUE}}})",
    ),
    marks("Pauses", "purple", "the queue is paused", f"max by (queue) (tapemill_queue_paused{{{QUEUE}}})"),
]


def board(uid, title, description, variables, panels, annotations=MARKS):
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["tapemill"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "utc",
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "15s",
        "links": [
            {
                "type": "dashboards",
                "tags": ["tapemill"],
                "title": "tapemill",
                "tooltip": "",
                "icon": "external link",
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "url": "",
            }
        ],
        "templating": {"list": [DATASOURCE, *variables]},
        "annotations": {"list": [OF_GRAFANA, *annotations]},
        "panels": placed(panels),
    }
