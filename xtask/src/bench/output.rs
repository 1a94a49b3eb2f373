use super::{
    cost::Cost,
    figures::{Figure, Unit},
};

#[derive(Clone, Copy)]
pub(super) enum Format {
    Table,
    Json,
}

impl Format {
    pub(super) fn print_head(self) {
        if matches!(self, Self::Table) {
            println!(
                "{:26} {:>14} {:>14} {:>7} {:>15} {:>7}",
                "figure", "ns", "floor ns", "ratio", "half of rounds", "allocs"
            );
        }
    }

    pub(super) fn print_row(self, figure: &Figure, cost: &Cost) {
        match self {
            Self::Table => print_line(figure, cost),
            Self::Json => print_object(figure, cost),
        }
    }
}

fn print_line(figure: &Figure, cost: &Cost) {
    let amount = |amount: f64| match figure.unit {
        Unit::Nanoseconds => format!("{amount:.1}"),
        Unit::Bytes => format!("{amount:.0} B"),
    };
    println!(
        "{:26} {:>14} {:>14} {:>7.3} {:>15} {:>7}",
        figure.name,
        amount(cost.value),
        amount(cost.floor),
        cost.ratio(),
        cost.spread.map_or("-".to_owned(), |[low, high]| format!("{low:.3}..{high:.3}")),
        cost.allocs.map_or("-".to_owned(), |allocs| format!("{allocs}")),
    );
}

/// Names are plain words, so nothing needs an escape.
fn print_object(figure: &Figure, cost: &Cost) {
    println!(
        r#"{{"name":"{}","ns":{:.2},"floor_ns":{:.2},"ratio":{:.4},"quartiles":{},"allocs":{}}}"#,
        figure.name,
        cost.value,
        cost.floor,
        cost.ratio(),
        cost.spread.map_or("null".to_owned(), |[low, high]| format!("[{low:.4},{high:.4}]")),
        cost.allocs.map_or("null".to_owned(), |allocs| format!("{allocs}")),
    );
}
