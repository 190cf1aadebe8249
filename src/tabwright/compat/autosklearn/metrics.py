"""Names of auto-sklearn's metrics."""

accuracy, balanced_accuracy, roc_auc, log_loss = "accuracy", "balanced_accuracy", "roc_auc", "log_loss"
average_precision, f1 = "average_precision", "f1"
mean_squared_error, root_mean_squared_error = "mean_squared_error", "root_mean_squared_error"
mean_absolute_error, r2 = "mean_absolute_error", "r2"
